import { autoCompaction } from './auto-compaction.ts';
import { buildConfig } from './build-config.ts';
import { parseCommandLine } from './command-line.ts';
import type { Config, InitialCluster, LogSettings } from './config.ts';
import { applyConfigFile, ConfigFileError } from './config-file.ts';
import { defaultHost } from './default-host.ts';
import { applyEnvironment } from './environment.ts';
import { resolveFeatureGates } from './feature-gates.ts';
import { findFlag } from './flags.ts';
import { FlagValueError, formatGoDuration, quote } from './go-syntax.ts';
import { helpText, usageText } from './help.ts';
import { parseInitialCluster } from './initial-cluster.ts';
import { minRaftConnectionTimeoutMs } from './limits.ts';
import { localAddress } from './local-address.ts';
import { logSettings } from './log-settings.ts';
import { flagsWithoutEffect, notYetFault } from './not-yet.ts';
import type { StartLine } from './start-line.ts';
import { advertiseClientUrlsMissing, startFault, validate } from './validate.ts';
import { defaultFlagValues, setFlag, type FlagValues } from './value-kinds.ts';

const caller = 'config/load.ts';

/** What came of reading the configuration. */
export type LoadOutcome =
  /** Nothing to serve: print and leave. */
  | { readonly kind: 'exit'; readonly exitCode: number; readonly stdout: string; readonly stderr: string }
  | { readonly kind: 'version' }
  /** Log `early` in the default way, then `late` as configured where `log` is known, and leave. */
  | {
      readonly kind: 'failed';
      readonly exitCode: number;
      readonly early: readonly StartLine[];
      readonly late: readonly StartLine[];
      readonly log: LogSettings | undefined;
    }
  /** Serve, after logging `early` in the default way and `late` as configured. */
  | {
      readonly kind: 'ready';
      readonly config: Config;
      readonly early: readonly StartLine[];
      readonly late: readonly StartLine[];
    };

export interface LoadInput {
  /** Without the program itself. */
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/**
 * Reads flags, environment or configuration file into one Config, with etcd's precedence: a configuration file
 * stands alone, else flags come before the environment.
 */
export async function loadConfig({ args, environment }: LoadInput): Promise<LoadOutcome> {
  const values = defaultFlagValues();
  const commandLine = parseCommandLine(args, values);
  if (commandLine.kind === 'help')
    return { kind: 'exit', exitCode: 0, stdout: helpText(), stderr: usageText() };
  if (commandLine.kind === 'fault') {
    return { kind: 'exit', exitCode: 2, stdout: '', stderr: `${commandLine.message}\n${usageText()}` };
  }
  const running: StartLine = {
    level: 'info',
    caller,
    message: 'Running: ',
    fields: { args: ['keystead', ...args] },
  };
  const stray = commandLine.rest[0];
  if (stray !== undefined) return rejected([], [running], `${quote(stray)} is not a valid flag`, undefined);
  if (values.version) return { kind: 'version' };

  const path = values['config-file'] === '' ? (environment['ETCD_CONFIG_FILE'] ?? '') : values['config-file'];
  if (path !== '') return await loadFile(path, running);

  const fromEnvironment = applyEnvironment(environment, values, commandLine.given);
  const early = [...fromEnvironment.lines];
  if (fromEnvironment.fault?.fatal === true) {
    return { kind: 'failed', exitCode: 1, early, late: [], log: undefined };
  }
  if (fromEnvironment.fault !== undefined)
    return rejected(early, [running], fromEnvironment.fault.message, undefined);
  early.push(...raftTimeoutLines(values));
  const given = new Set([...commandLine.given, ...fromEnvironment.given]);
  if (given.has('listen-client-urls') && !given.has('advertise-client-urls'))
    values['advertise-client-urls'] = [];
  dropDefaultCluster(values, given);
  if (values['discovery-fallback'] === 'proxy') {
    const message = `v2 proxy is deprecated, and --discovery-fallback can't be configured as "proxy"`;
    return rejected(early, [running], message, undefined);
  }
  return finish({ values, given, early, before: [], running });
}

async function loadFile(path: string, running: StartLine): Promise<LoadOutcome> {
  // A file stands alone: what flags said is forgotten.
  const values = defaultFlagValues();
  let given: ReadonlySet<string>;
  try {
    given = await applyConfigFile(path, values);
  } catch (error) {
    if (!(error instanceof ConfigFileError)) throw error;
    if (error.bare) return { kind: 'exit', exitCode: 1, stdout: '', stderr: `${error.message}\n` };
    return rejected([], [running], error.message, undefined);
  }
  dropDefaultCluster(values, given);
  const loaded: StartLine = {
    level: 'info',
    caller,
    message:
      'loaded server configuration, other configuration command line flags and environment variables will be ignored if provided',
    fields: { path },
  };
  return finish({ values, given, early: [], before: [loaded], running });
}

/** Discovery replaces the default cluster of one. */
function dropDefaultCluster(values: FlagValues, given: ReadonlySet<string>): void {
  const discovers =
    values['discovery-srv'] !== '' ||
    values['discovery-srv-name'] !== '' ||
    values['discovery-endpoints'].length > 0;
  if (discovers && !given.has('initial-cluster')) values['initial-cluster'] = '';
}

function raftTimeoutLines(values: FlagValues): StartLine[] {
  const floor = formatGoDuration(minRaftConnectionTimeoutMs);
  return (['raft-read-timeout', 'raft-write-timeout'] as const)
    .filter((name) => values[name] < minRaftConnectionTimeoutMs)
    .map((name) => ({ level: 'info', caller, message: `${name} increased to minimum value: ${floor}` }));
}

interface FinishInput {
  readonly values: FlagValues;
  readonly given: ReadonlySet<string>;
  readonly early: readonly StartLine[];
  /** Lines that follow the warnings of validation. */
  readonly before: readonly StartLine[];
  readonly running: StartLine;
}

function finish({ values, given, early, before, running }: FinishInput): LoadOutcome {
  const log = logSettings(values);
  if ('fault' in log) {
    if (log.exitCode === 2) return { kind: 'exit', exitCode: 2, stdout: '', stderr: `${log.fault}\n` };
    return rejected(early, [running], log.fault, undefined);
  }
  const checked = validate(values);
  const late = [...checked.lines, ...before, ...deprecationLines(given), running];
  if (checked.fault !== undefined) return rejected(early, late, checked.fault, log);

  late.push(...adoptDefaultHost(values));
  if (values['data-dir'] === '') {
    values['data-dir'] = `${values.name}.etcd`;
    const fields = { 'data-dir': values['data-dir'] };
    late.push({ level: 'warn', caller, message: "'data-dir' was empty; using default", fields });
  }
  late.push(...withoutEffectLines(values));
  const parts = startParts(values);
  if (typeof parts === 'string') return aborted(early, late, parts, log);
  const local = resolveFeatureGates(values['feature-gates']).get('SetMemberLocalAddr')
    ? localAddress(values['initial-advertise-peer-urls'])
    : undefined;
  late.push(...(local?.lines ?? []));
  const config = buildConfig({ values, log, ...parts, localAddress: local?.address });
  const toCome = notYetFault(values);
  if (toCome !== undefined) return rejected(early, late, toCome, log);
  return { kind: 'ready', config, early, late };
}

/** What etcd works out only while it starts, or the fault it would end with. */
function startParts(
  values: FlagValues,
): { autoCompaction: Config['autoCompaction']; initialCluster: InitialCluster } | string {
  const fault = startFault(values);
  if (fault !== undefined) return fault;
  let initialCluster: InitialCluster;
  try {
    initialCluster = parseInitialCluster(values['initial-cluster']);
  } catch (error) {
    if (!(error instanceof FlagValueError)) throw error;
    return `error setting up initial cluster: ${error.message}`;
  }
  const mode = values['auto-compaction-mode'] === 'revision' ? 'revision' : 'periodic';
  const compaction = autoCompaction(mode, values['auto-compaction-retention']);
  return typeof compaction === 'string' ? compaction : { autoCompaction: compaction, initialCluster };
}

function deprecationLines(given: ReadonlySet<string>): StartLine[] {
  const texts: Readonly<Record<string, string>> = {
    'max-snapshots': '--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8.',
    'v2-deprecation':
      '--v2-deprecation is deprecated and scheduled for removal in v3.8. The default value is enforced, ignoring user input.',
  };
  return Object.entries(texts)
    .filter(([name]) => given.has(name))
    .map(([, message]) => ({ level: 'warn', caller, message }));
}

function withoutEffectLines(values: FlagValues): StartLine[] {
  const defaults = defaultFlagValues();
  return [...flagsWithoutEffect]
    .filter((name) => values[name] !== defaults[name])
    .map((name) => ({
      level: 'warn',
      caller,
      message: 'flag is accepted without effect: it sets what only bbolt has',
      fields: { flag: `--${name}` },
    }));
}

/**
 * A member that listens on all addresses and advertises the default ones would tell others `localhost`; its real
 * address takes that place. A member named otherwise than `default` gets the default cluster under its name.
 */
function adoptDefaultHost(values: FlagValues): StartLine[] {
  const defaults = defaultFlagValues();
  const wanted = (
    [
      ['listen-peer-urls', 'initial-advertise-peer-urls'],
      ['listen-client-urls', 'advertise-client-urls'],
    ] as const
  ).filter(
    ([listen, advertise]) =>
      values[listen][0]?.host === '0.0.0.0' &&
      values[advertise].length === 1 &&
      values[advertise][0]?.text === defaults[advertise][0]?.text,
  );
  const host = wanted.length === 0 ? undefined : defaultHost();
  if (host !== undefined) {
    for (const [listen, advertise] of wanted) {
      const flag = findFlag(advertise);
      if (flag !== undefined) setFlag(values, flag, `http://${host}:${values[listen][0]?.port ?? ''}`);
    }
  }
  if (values.name !== 'default' && values['initial-cluster'] === defaults['initial-cluster']) {
    const name = values.name === '' ? 'default' : values.name;
    values['initial-cluster'] = values['initial-advertise-peer-urls']
      .map((url) => `${name}=${url.text}`)
      .join(',');
  }
  if (host === undefined) return [];
  return [{ level: 'info', caller, message: 'detected default host for advertise', fields: { host } }];
}

function rejected(
  early: readonly StartLine[],
  late: readonly StartLine[],
  error: string,
  log: LogSettings | undefined,
): LoadOutcome {
  const lines: StartLine[] = [
    ...late,
    { level: 'warn', caller, message: 'failed to verify flags', fields: { error } },
  ];
  if (error === advertiseClientUrlsMissing) {
    lines.push({ level: 'warn', caller, message: 'advertise client URLs are not set', fields: { error } });
  }
  return { kind: 'failed', exitCode: 1, early, late: lines, log };
}

/** etcd words every fault of its start as a failed discovery. */
function aborted(
  early: readonly StartLine[],
  late: readonly StartLine[],
  error: string,
  log: LogSettings,
): LoadOutcome {
  const line: StartLine = { level: 'fatal', caller, message: 'discovery failed', fields: { error } };
  return { kind: 'failed', exitCode: 1, early, late: [...late, line], log };
}
