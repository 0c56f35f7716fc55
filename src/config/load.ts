import { autoCompaction } from './auto-compaction.ts';
import { buildConfig } from './build-config.ts';
import { parseCommandLine } from './command-line.ts';
import type { Config, InitialCluster, LogSettings } from './config.ts';
import { applyConfigFile, ConfigFileError } from './config-file.ts';
import { defaultHost } from './default-host.ts';
import { defaultServingThreads } from './default-serving-threads.ts';
import { applyEnvironment } from './environment.ts';
import { resolveFeatureGates } from './feature-gates.ts';
import { findFlag } from './flags.ts';
import { FlagValueError, formatGoDuration, quote } from './go-syntax.ts';
import { helpText, usageText } from './help.ts';
import { parseInitialCluster } from './initial-cluster.ts';
import { MIN_RAFT_CONNECTION_TIMEOUT_MS } from './limits.ts';
import { localAddress } from './local-address.ts';
import { logSettings } from './log-settings.ts';
import { type Machine, thisMachine } from './machine.ts';
import { flagsWithoutEffect, unsupportedFlagFault } from './unsupported-flags.ts';
import type { EarlyLogLine } from './early-log-line.ts';
import { ADVERTISE_CLIENT_URLS_MISSING, startFault, validate } from './validate.ts';
import { defaultFlagValues, setFlag, type FlagValues } from './value-kinds.ts';

const CALLER = 'config/load.ts';

/** The result of loading the configuration. */
export type LoadOutcome =
  /** Print the texts and exit. */
  | { readonly kind: 'exit'; readonly exitCode: number; readonly stdout: string; readonly stderr: string }
  | { readonly kind: 'version' }
  /** Log `early` with the default logger, then `late` with the configured logger if `log` is known, and exit. */
  | {
      readonly kind: 'failed';
      readonly exitCode: number;
      readonly early: readonly EarlyLogLine[];
      readonly late: readonly EarlyLogLine[];
      readonly log: LogSettings | undefined;
    }
  /** Log `early` with the default logger and `late` with the configured logger, then serve. */
  | {
      readonly kind: 'ready';
      readonly config: Config;
      readonly early: readonly EarlyLogLine[];
      readonly late: readonly EarlyLogLine[];
    };

export interface LoadInput {
  /** Without the program name. */
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Looked at for defaults that depend on it. */
  readonly machine?: () => Machine;
}

/**
 * Loads the configuration with etcd's precedence. With a configuration file, flags and environment are ignored.
 * Without one, flags win over the environment.
 */
export async function loadConfig({
  args,
  environment,
  machine = thisMachine,
}: LoadInput): Promise<LoadOutcome> {
  const values = defaultFlagValues();
  const commandLine = parseCommandLine(args, values);
  if (commandLine.kind === 'help')
    return { kind: 'exit', exitCode: 0, stdout: helpText(), stderr: usageText() };
  if (commandLine.kind === 'fault') {
    return { kind: 'exit', exitCode: 2, stdout: '', stderr: `${commandLine.message}\n${usageText()}` };
  }
  const running: EarlyLogLine = {
    level: 'info',
    caller: CALLER,
    message: 'Running: ',
    fields: { args: ['keystead', ...args] },
  };
  const stray = commandLine.rest[0];
  if (stray !== undefined) return rejected([], [running], `${quote(stray)} is not a valid flag`, undefined);
  if (values.version) return { kind: 'version' };

  const path = values['config-file'] === '' ? (environment['ETCD_CONFIG_FILE'] ?? '') : values['config-file'];
  if (path !== '') return await loadFile(path, running, machine);

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
  return finish({ values, given, early, before: [], running, machine });
}

async function loadFile(path: string, running: EarlyLogLine, machine: () => Machine): Promise<LoadOutcome> {
  // With a configuration file, all other flags are ignored.
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
  const loaded: EarlyLogLine = {
    level: 'info',
    caller: CALLER,
    message:
      'loaded server configuration, other configuration command line flags and environment variables will be ignored if provided',
    fields: { path },
  };
  return finish({ values, given, early: [], before: [loaded], running, machine });
}

/** With discovery, the default cluster of one member does not apply. */
function dropDefaultCluster(values: FlagValues, given: ReadonlySet<string>): void {
  const discovers =
    values['discovery-srv'] !== '' ||
    values['discovery-srv-name'] !== '' ||
    values['discovery-endpoints'].length > 0;
  if (discovers && !given.has('initial-cluster')) values['initial-cluster'] = '';
}

function raftTimeoutLines(values: FlagValues): EarlyLogLine[] {
  const floor = formatGoDuration(MIN_RAFT_CONNECTION_TIMEOUT_MS);
  return (['raft-read-timeout', 'raft-write-timeout'] as const)
    .filter((name) => values[name] < MIN_RAFT_CONNECTION_TIMEOUT_MS)
    .map((name) => ({
      level: 'info',
      caller: CALLER,
      message: `${name} increased to minimum value: ${floor}`,
    }));
}

interface FinishInput {
  readonly values: FlagValues;
  readonly given: ReadonlySet<string>;
  readonly early: readonly EarlyLogLine[];
  /** Lines to log after the warnings of the validation. */
  readonly before: readonly EarlyLogLine[];
  readonly running: EarlyLogLine;
  readonly machine: () => Machine;
}

function finish({ values, given, early, before, running, machine }: FinishInput): LoadOutcome {
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
    late.push({ level: 'warn', caller: CALLER, message: "'data-dir' was empty; using default", fields });
  }
  late.push(...withoutEffectLines(values));
  const parts = startParts(values);
  if (typeof parts === 'string') return aborted(early, late, parts, log);
  const local = resolveFeatureGates(values['feature-gates']).get('SetMemberLocalAddr')
    ? localAddress(values['initial-advertise-peer-urls'])
    : undefined;
  late.push(...(local?.lines ?? []));
  const unsupported = unsupportedFlagFault(values, process.versions.node);
  if (unsupported !== undefined) return rejected(early, late, unsupported, log);
  const threads = servingThreads(values, machine);
  late.push(...threads.lines);
  const config = buildConfig({
    values,
    log,
    ...parts,
    localAddress: local?.address,
    servingThreads: threads.count,
  });
  return { kind: 'ready', config, early, late };
}

/** The given number, or one that fits the machine. The log says how the latter was chosen. */
function servingThreads(
  values: FlagValues,
  machine: () => Machine,
): { count: number; lines: readonly EarlyLogLine[] } {
  const given = values['keystead-serving-threads'];
  if (given !== 'auto') return { count: given, lines: [] };
  const found = machine();
  const { threads, reason } = defaultServingThreads(found, [
    ...values['listen-client-urls'],
    ...values['listen-client-http-urls'],
  ]);
  const fields = {
    'serving-threads': threads,
    reason,
    processors: found.processors,
    'cpu-quota': found.cpuQuota ?? 'none',
    'memory-bytes': found.memoryBytes,
  };
  const message = 'chose the number of serving threads';
  return { count: threads, lines: [{ level: 'info', caller: CALLER, message, fields }] };
}

/** Checks what etcd checks only during its start. @returns the parsed values, or etcd's error text */
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

function deprecationLines(given: ReadonlySet<string>): EarlyLogLine[] {
  const texts: Readonly<Record<string, string>> = {
    'max-snapshots': '--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8.',
    'v2-deprecation':
      '--v2-deprecation is deprecated and scheduled for removal in v3.8. The default value is enforced, ignoring user input.',
  };
  return Object.entries(texts)
    .filter(([name]) => given.has(name))
    .map(([, message]) => ({ level: 'warn', caller: CALLER, message }));
}

function withoutEffectLines(values: FlagValues): EarlyLogLine[] {
  const defaults = defaultFlagValues();
  return [...flagsWithoutEffect]
    .filter((name) => values[name] !== defaults[name])
    .map((name) => ({
      level: 'warn',
      caller: CALLER,
      message: 'flag has no effect: it applies only to the storage of etcd',
      fields: { flag: `--${name}` },
    }));
}

/**
 * Applies two defaults of etcd. A member that listens on all addresses and has no advertise URL advertises the
 * address of its default route instead of `localhost`. A member with a name other than `default` gets the default
 * cluster under its own name.
 */
function adoptDefaultHost(values: FlagValues): EarlyLogLine[] {
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
  return [
    { level: 'info', caller: CALLER, message: 'detected default host for advertise', fields: { host } },
  ];
}

function rejected(
  early: readonly EarlyLogLine[],
  late: readonly EarlyLogLine[],
  error: string,
  log: LogSettings | undefined,
): LoadOutcome {
  const lines: EarlyLogLine[] = [
    ...late,
    { level: 'warn', caller: CALLER, message: 'failed to verify flags', fields: { error } },
  ];
  if (error === ADVERTISE_CLIENT_URLS_MISSING) {
    lines.push({
      level: 'warn',
      caller: CALLER,
      message: 'advertise client URLs are not set',
      fields: { error },
    });
  }
  return { kind: 'failed', exitCode: 1, early, late: lines, log };
}

/** etcd logs every error of its start as 'discovery failed'. */
function aborted(
  early: readonly EarlyLogLine[],
  late: readonly EarlyLogLine[],
  error: string,
  log: LogSettings,
): LoadOutcome {
  const line: EarlyLogLine = {
    level: 'fatal',
    caller: CALLER,
    message: 'discovery failed',
    fields: { error },
  };
  return { kind: 'failed', exitCode: 1, early, late: [...late, line], log };
}
