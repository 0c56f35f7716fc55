import { readFileSync } from 'node:fs';
import { parseFeatureGates } from './feature-gates.ts';
import { flagDefinitions, type FlagDefinition, type FlagKind, type FlagName } from './flags.ts';
import { FlagValueError } from './go-syntax.ts';
import { setFlag, type FlagValues } from './value-kinds.ts';

/** The configuration file is invalid. With `bare` the message goes to stderr as it is, instead of to the log. */
export class ConfigFileError extends Error {
  override readonly name = 'ConfigFileError';
  readonly bare: boolean;

  constructor(message: string, bare = false) {
    super(message);
    this.bare = bare;
  }
}

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/**
 * Sets flags from a YAML file. Keys are flag names; upper and lower case are the same. The TLS flags are inside
 * `client-transport-security` and `peer-transport-security`. Unknown keys are ignored, as in etcd. Durations are
 * integer nanoseconds.
 *
 * @returns the names of the flags the file sets
 * @throws ConfigFileError with etcd's text
 */
export async function applyConfigFile(path: string, values: FlagValues): Promise<ReadonlySet<string>> {
  const root = await parseYaml(readText(path));
  const given = new Set<string>();
  if (root === null) return given;
  if (!isObject(root)) throw typeFault(root, 'value of type embed.configYAML', '');
  checkSecurityObjects(root);
  for (const flag of flagDefinitions) {
    if (flag.fileKey === null) continue;
    const keyPath = flag.fileKey ?? [flag.name];
    const value = lookUp(root, keyPath);
    if (value === undefined || value === null) continue;
    setFromFile(values, flag, keyPath, value);
    given.add(flag.name);
  }
  return given;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const reason = { ENOENT: 'no such file or directory', EACCES: 'permission denied' }[code ?? ''];
    if (code === 'EISDIR') throw new ConfigFileError(`read ${path}: is a directory`);
    throw new ConfigFileError(`open ${path}: ${reason ?? String(code)}`);
  }
}

async function parseYaml(text: string): Promise<Json> {
  const { parseDocument } = await import('./yaml.ts');
  // As in etcd, the last of repeated keys wins, and the YAML 1.1 words (yes, on) are booleans.
  const document = parseDocument(text, { uniqueKeys: false, version: '1.1', logLevel: 'silent' });
  const fault = document.errors[0];
  if (fault !== undefined) {
    const line = fault.linePos?.[0].line ?? 1;
    const reason = fault.message.split('\n')[0]?.replace(/ at line .*$/, '') ?? '';
    throw new ConfigFileError(`error converting YAML to JSON: yaml: line ${line}: ${reason}`);
  }
  return document.toJS() as Json;
}

function isObject(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function lookUp(root: { readonly [key: string]: Json }, path: readonly string[]): Json | undefined {
  let at: Json | undefined = root;
  for (const key of path) {
    if (!isObject(at)) return undefined;
    const found: string | undefined = Object.keys(at)
      .reverse()
      .find((candidate) => candidate.toLowerCase() === key);
    at = found === undefined ? undefined : at[found];
  }
  return at;
}

function checkSecurityObjects(root: { readonly [key: string]: Json }): void {
  for (const key of ['client-transport-security', 'peer-transport-security']) {
    const value = lookUp(root, [key]);
    if (value !== undefined && value !== null && !isObject(value)) {
      throw typeFault(value, `Go struct field configYAML.configJSON.${key} of type embed.securityConfig`, '');
    }
  }
}

/** In the file, a flag of these kinds is one string. The command line parses or splits the same string. */
const textKinds: ReadonlySet<FlagKind> = new Set([
  'string',
  'urls',
  'origins',
  'clusterState',
  'discoveryFallback',
  'v2Deprecation',
  'featureGates',
]);
const integerTypes: Partial<Record<FlagKind, { type: string; bits: number; signed: boolean }>> = {
  uint: { type: 'uint', bits: 64, signed: false },
  uintOrAuto: { type: 'uint', bits: 64, signed: false },
  uint32: { type: 'uint32', bits: 32, signed: false },
  uint64: { type: 'uint64', bits: 64, signed: false },
  int: { type: 'int', bits: 64, signed: true },
  int64: { type: 'int64', bits: 64, signed: true },
  duration: { type: 'time.Duration', bits: 64, signed: true },
};

type NamedFlag = FlagDefinition & { readonly name: FlagName };

function setFromFile(values: FlagValues, flag: NamedFlag, path: readonly string[], value: Json): void {
  const integer = integerTypes[flag.kind];
  // The host whitelist is the only list of strings that is comma-separated text in the file as well.
  const isAuto = flag.kind === 'uintOrAuto' && value === 'auto';
  const isText = textKinds.has(flag.kind) || flag.name === 'host-whitelist' || isAuto;
  if (integer !== undefined && !isAuto) setInteger(values, flag, integer, path, value);
  else if (isText) setText(values, flag, path, value);
  else if (flag.kind === 'bool') {
    if (typeof value !== 'boolean') throw typeFault(value, fieldName(flag, path), 'bool');
    setFlag(values, flag, String(value));
  } else {
    setFlag(values, flag, stringItems(flag, path, value).join(','));
  }
}

function setInteger(
  values: FlagValues,
  flag: NamedFlag,
  { type, bits, signed }: { type: string; bits: number; signed: boolean },
  path: readonly string[],
  value: Json,
): void {
  const limit = 2 ** (signed ? bits - 1 : bits);
  const fits =
    typeof value === 'number' && Number.isInteger(value) && value < limit && value >= (signed ? -limit : 0);
  if (!fits) throw typeFault(value, fieldName(flag, path), type, true);
  // Durations in the file are nanoseconds.
  setFlag(values, flag, flag.kind === 'duration' ? `${BigInt(value)}ns` : String(BigInt(value)));
}

function setText(values: FlagValues, flag: NamedFlag, path: readonly string[], value: Json): void {
  if (typeof value !== 'string') throw typeFault(value, fieldName(flag, path), 'string');
  if (value === '' && flag.kind !== 'string') return;
  // Validated later together with all other values, as in etcd.
  if (flag.kind === 'clusterState') {
    values['initial-cluster-state'] = value;
    return;
  }
  if (flag.kind === 'v2Deprecation') return;
  try {
    if (flag.kind === 'featureGates') values['feature-gates'] = parseFeatureGates(value);
    else setFlag(values, flag, value);
  } catch (error) {
    if (!(error instanceof FlagValueError)) throw error;
    if (flag.kind === 'urls')
      throw new ConfigFileError(`unexpected error setting up ${flag.name}: ${error.message}`, true);
    throw new ConfigFileError(error.message);
  }
}

function stringItems(flag: NamedFlag, path: readonly string[], value: Json): string[] {
  if (!Array.isArray(value)) throw typeFault(value, fieldName(flag, path), '[]string');
  return (value as readonly Json[]).map((item) => {
    if (typeof item !== 'string') throw typeFault(item, fieldName(flag, path), 'string');
    return item;
  });
}

/** Flags that etcd's configJSON struct holds as one string. Go's decoder errors name that struct. */
const textFields: ReadonlySet<FlagName> = new Set([
  'listen-peer-urls',
  'listen-client-urls',
  'listen-client-http-urls',
  'initial-advertise-peer-urls',
  'advertise-client-urls',
  'cors',
  'host-whitelist',
  'feature-gates',
]);

/** Names the field of a value as Go's JSON decoder does. */
function fieldName(flag: NamedFlag, path: readonly string[]): string {
  const owner = textFields.has(flag.name) ? 'configJSON' : 'Config';
  if (path.length === 1) return `Go struct field configYAML.${owner}.${path.join('.')}`;
  if (path[0] === 'socket-options') return `Go struct field SocketOpts.Config.${path.join('.')}`;
  return `Go struct field securityConfig.configJSON.${path.join('.')}`;
}

function typeFault(value: Json, target: string, type: string, showNumber = false): ConfigFileError {
  const found = jsonType(value) + (showNumber && typeof value === 'number' ? ` ${value}` : '');
  const into = type === '' ? target : `${target} of type ${type}`;
  return new ConfigFileError(
    `error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ${found} into ${into}`,
  );
}

function jsonType(value: Json): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'boolean') return 'bool';
  return typeof value;
}
