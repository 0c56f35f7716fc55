import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { featureGates, gateNames, type FeatureGate } from './feature-gates.ts';
import { flagDefinitions, type FlagDefinition, type FlagName } from './flags.ts';
import { loadConfig } from './load.ts';
import { type Machine, thisMachine } from './machine.ts';
import { flagsWithoutEffect, hasReusePort } from './unsupported-flags.ts';

/*
 * Every accepted flag and feature gate must be used. The test sets each flag to another value than its default. Code
 * outside this folder must mention the fields of the configuration that change.
 */

const source = join(dirname(fileURLToPath(import.meta.url)), '..');

function production(folder: string): string {
  return readdirSync(folder, { withFileTypes: true })
    .map((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory())
        return ['testing', 'testdata', 'sim', 'gen'].includes(entry.name) || path === join(source, 'config')
          ? ''
          : production(path);
      return /(?<!\.test)\.ts$/.test(entry.name) ? readFileSync(path, 'utf8') : '';
    })
    .join('\n');
}

const code = production(source);

/** These flags are used in this folder only. */
const readHere: ReadonlySet<FlagName> = new Set([
  ...(['config-file', 'version', 'feature-gates', 'discovery-fallback', 'v2-deprecation', 'logger'] as const),
  // The fields of the log settings have names that are too common to search for.
  ...(['log-outputs', 'log-level', 'log-format', 'enable-log-rotation', 'log-rotation-config-json'] as const),
  // Addresses are always reused.
  'socket-reuse-address',
]);

/** Arguments for flags that accept only certain values or need another flag. */
const settings: Readonly<Partial<Record<FlagName, readonly string[]>>> = {
  'initial-cluster': ['--initial-cluster=default=http://localhost:2380,b=http://localhost:1'],
  'keystead-serving-threads': ['--keystead-serving-threads=1'],
  'initial-cluster-state': ['--initial-cluster-state=existing'],
  'initial-advertise-peer-urls': ['--initial-advertise-peer-urls=http://10.0.0.1:1'],
  'heartbeat-interval': ['--heartbeat-interval=50'],
  'election-timeout': ['--election-timeout=3000'],
  'auto-compaction-retention': ['--auto-compaction-retention=1'],
  'auto-compaction-mode': ['--auto-compaction-mode=revision', '--auto-compaction-retention=9'],
  'tls-min-version': ['--tls-min-version=TLS1.3'],
  'tls-max-version': ['--tls-max-version=TLS1.3'],
  'cipher-suites': ['--cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'],
  metrics: ['--metrics=extensive'],
  'raft-read-timeout': ['--raft-read-timeout=7s'],
  'raft-write-timeout': ['--raft-write-timeout=7s'],
  'discovery-srv-name': ['--discovery-srv-name=blue', '--discovery-srv=x.test'],
  'keystead-usage-max-prefixes': ['--keystead-usage-max-prefixes=7', '--keystead-usage-prefixes=/a/'],
  'distributed-tracing-address': [
    '--distributed-tracing-address=127.0.0.1:7',
    '--enable-distributed-tracing',
  ],
  'distributed-tracing-service-name': [
    '--distributed-tracing-service-name=x',
    '--enable-distributed-tracing',
  ],
  'distributed-tracing-instance-id': ['--distributed-tracing-instance-id=x', '--enable-distributed-tracing'],
  'distributed-tracing-sampling-rate': [
    '--distributed-tracing-sampling-rate=7',
    '--enable-distributed-tracing',
  ],
  'keystead-auto-disarm-percent': ['--keystead-auto-disarm-percent=7', '--keystead-auto-disarm'],
  'keystead-backup-url': ['--keystead-backup-url=x', '--keystead-backup-interval=1h'],
  'keystead-backup-interval': ['--keystead-backup-interval=2h', '--keystead-backup-url=x'],
  'keystead-backup-key-file': [
    '--keystead-backup-key-file=k',
    '--keystead-backup-url=x',
    '--keystead-backup-interval=1h',
  ],
  'keystead-backup-keep-last': [
    '--keystead-backup-keep-last=7',
    '--keystead-backup-url=x',
    '--keystead-backup-interval=1h',
  ],
  'keystead-backup-keep-days': [
    '--keystead-backup-keep-days=7',
    '--keystead-backup-url=x',
    '--keystead-backup-interval=1h',
  ],
  'keystead-backup-log-interval': [
    '--keystead-backup-log-interval=7s',
    '--keystead-backup-url=x',
    '--keystead-backup-interval=1h',
  ],
  'keystead-backup-log-max-bytes': [
    '--keystead-backup-log-max-bytes=7',
    '--keystead-backup-url=x',
    '--keystead-backup-interval=1h',
  ],
  'audit-log-path': ['--audit-log-path=-'],
  'audit-log-level': ['--audit-log-level=all', '--audit-log-path=-'],
  'audit-log-max-size': ['--audit-log-max-size=7', '--audit-log-path=x'],
  'audit-log-max-backups': ['--audit-log-max-backups=7', '--audit-log-path=x'],
};

const samples: Readonly<Partial<Record<FlagDefinition['kind'], string>>> = {
  string: 'x',
  uint: '7',
  uint32: '7',
  uint64: '7',
  int: '7',
  int64: '7',
  duration: '77s',
  urls: 'http://127.0.0.1:7',
  origins: 'http://a:7',
  strings: 'a',
  uniqueStrings: 'a',
};

function argsFor(flag: FlagDefinition & { readonly name: FlagName }): readonly string[] {
  const given = settings[flag.name];
  if (given !== undefined) return given;
  const value = flag.kind === 'bool' ? String(flag.default !== 'true') : samples[flag.kind];
  const args = [`--${flag.name}=${value ?? ''}`];
  if (flag.name.startsWith('discovery-')) {
    if (flag.name !== 'discovery-endpoints' && flag.name !== 'discovery-srv')
      args.push('--discovery-endpoints=http://b:1');
    if (flag.name === 'discovery-endpoints' || flag.name !== 'discovery-token')
      if (flag.name !== 'discovery-srv') args.push('--discovery-token=t');
  }
  if (flag.name === 'listen-client-urls') args.push('--advertise-client-urls=http://127.0.0.1:7');
  return args;
}

/** Loads the configuration and returns each of its fields by path. */
async function fieldsOf(args: readonly string[]): Promise<Map<string, string>> {
  // With more cores, the number of serving threads could be the one that the test sets.
  const machine = (): Machine => ({ ...thisMachine(), processors: 1 });
  const outcome = await loadConfig({ args, environment: {}, machine });
  if (outcome.kind !== 'ready') throw new Error(`${args.join(' ')}: ${JSON.stringify(outcome)}`);
  const found = new Map<string, string>();
  collect(outcome.config, [], found);
  return found;
}

function collect(value: unknown, path: readonly string[], into: Map<string, string>): void {
  const isPlain = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (isPlain && !(value instanceof Map))
    for (const [name, inner] of Object.entries(value)) collect(inner, [...path, name], into);
  else into.set(path.join('.'), JSON.stringify(value instanceof Map ? [...value] : value));
}

/** A field counts as used when code outside this folder mentions its name. */
function isRead(path: string): boolean {
  return new RegExp(`\\b${path.split('.').at(-1) ?? ''}\\b`).test(code);
}

/** A flag that needs a newer Node.js. */
function isRefused(name: FlagName): boolean {
  return name === 'socket-reuse-port' && !hasReusePort(process.versions.node);
}

it.each(
  flagDefinitions.filter(
    ({ name }) => !readHere.has(name) && !isRefused(name) && !flagsWithoutEffect.has(name),
  ),
)('--$name is used', async (flag) => {
  const changedBy = argsFor(flag);
  const before = await fieldsOf(
    changedBy
      .filter((arg) => !arg.startsWith(`--${flag.name}=`))
      .filter(isNotDiscovery)
      .filter(() => !givenTogether.has(flag.name)),
  );
  const after = await fieldsOf(changedBy);
  const changed = [...after].filter(([path, value]) => before.get(path) !== value).map(([path]) => path);
  expect(changed).not.toEqual([]);
  expect(changed.filter(isRead)).not.toEqual([]);
});

/** Each is refused without the other. */
const givenTogether = new Set(['keystead-backup-url', 'keystead-backup-interval']);

/** Discovery flags are refused unless they are complete. */
function isNotDiscovery(arg: string): boolean {
  return !arg.startsWith('--discovery-');
}

/** Gates that only set other gates, or that have no effect here; see docs/compatibility.md. */
const gatesWithoutReader: ReadonlySet<FeatureGate> = new Set([
  ...(['AllAlpha', 'AllBeta', 'LeaseCheckpointPersist', 'TxnModeWriteWithSharedBuffer'] as const),
]);

it.each(gateNames().filter((name) => !gatesWithoutReader.has(name)))('the gate %s is used', (name) => {
  expect(featureGates[name]).toBeDefined();
  const inConfig = readFileSync(join(source, 'config/load.ts'), 'utf8');
  expect(`${code}${inConfig}`).toContain(`get('${name}')`);
});
