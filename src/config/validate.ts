import { auditFault } from './audit-settings.ts';
import { unknownCipherSuite } from './cipher-suites.ts';
import { resolveFeatureGates } from './feature-gates.ts';
import { formatGoDuration, quote } from './go-syntax.ts';
import {
  MAX_ELECTION_TIMEOUT_MS,
  MAX_TRACING_SAMPLES_PER_MILLION,
  MIN_HEARTBEATS_PER_ELECTION,
} from './limits.ts';
import type { EarlyLogLine } from './early-log-line.ts';
import { backupFault } from './backup-settings.ts';
import { usageFault } from './usage-settings.ts';
import { advertisedUrlFault, bindUrlFault, splitHostPort, urlTexts } from './urls.ts';
import type { FlagValues } from './value-kinds.ts';

const CALLER = 'config/validate.ts';

export const ADVERTISE_CLIENT_URLS_MISSING =
  '--advertise-client-urls is required when --listen-client-urls is set explicitly';

export interface Validation {
  /** Warnings, in order. */
  readonly lines: readonly EarlyLogLine[];
  /** The first error, in etcd's order and with etcd's text. */
  readonly fault: string | undefined;
}

export function validate(values: FlagValues): Validation {
  const lines: EarlyLogLine[] = [];
  const warn = (message: string, fields = {}): void =>
    void lines.push({ level: 'warn', caller: CALLER, message, fields });
  const fault =
    listenFault(values, warn) ??
    advertiseFault(values) ??
    bootstrapFlagFault(values) ??
    timingFault(values) ??
    serviceFault(values, warn) ??
    identityAndTlsFault(values, warn) ??
    auditFault(values) ??
    backupFault(values) ??
    usageFault(values);
  return { lines, fault };
}

type Warn = (message: string, fields?: Readonly<Record<string, unknown>>) => void;

function listenFault(values: FlagValues, warn: Warn): string | undefined {
  const early = bindUrlFault(values['listen-peer-urls']) ?? bindUrlFault(values['listen-client-urls']);
  const http = early ?? bindUrlFault(values['listen-client-http-urls']);
  if (http !== undefined) return http;
  if (values['listen-client-http-urls'].length === 0) {
    warn('Running http and grpc server on single port. This is not recommended for production.');
  }
  return bindUrlFault(values['listen-metrics-urls']) ?? bindUrlFault(values['keystead-status-urls']);
}

function advertiseFault(values: FlagValues): string | undefined {
  const peers = values['initial-advertise-peer-urls'];
  const peerFault = advertisedUrlFault(peers);
  if (peerFault !== undefined) {
    return `--initial-advertise-peer-urls ${quote(urlTexts(peers).join(','))} must be "host:port" (${peerFault})`;
  }
  const clients = values['advertise-client-urls'];
  const clientFault = advertisedUrlFault(clients);
  if (clientFault !== undefined) {
    const forms = '"host:port", "unix:/path/to/socket" or "unixs:/path/to/socket"';
    const listed = quote(urlTexts(clients).join(','));
    return `--advertise-client-urls ${listed} must be in the format ${forms} (${clientFault})`;
  }
  return undefined;
}

function bootstrapFlagFault(values: FlagValues): string | undefined {
  const state = values['initial-cluster-state'];
  if (state !== 'new' && state !== 'existing') return `unexpected clusterState ${quote(state)}`;
  const endpoints = values['discovery-endpoints'];
  const methods = [values['initial-cluster'] !== '', values['discovery-srv'] !== '', endpoints.length > 0];
  if (methods.filter(Boolean).length > 1) {
    return 'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery-endpoints" or "discovery-srv"';
  }
  if ((values['discovery-token'] !== '') !== endpoints.length > 0) {
    return 'both --discovery-token and --discovery-endpoints must be set';
  }
  if (endpoints.some((endpoint) => endpoint.trim() === '')) {
    return '--discovery-endpoints must not contain empty endpoints';
  }
  return undefined;
}

function timingFault(values: FlagValues): string | undefined {
  const heartbeatMs = values['heartbeat-interval'];
  const electionMs = values['election-timeout'];
  if (heartbeatMs === 0) return `--heartbeat-interval must be >0 (set to ${heartbeatMs}ms)`;
  if (electionMs === 0) return `--election-timeout must be >0 (set to ${electionMs}ms)`;
  if (MIN_HEARTBEATS_PER_ELECTION * heartbeatMs > electionMs) {
    return `--election-timeout[${electionMs}ms] should be at least as 5 times as --heartbeat-interval[${heartbeatMs}ms]`;
  }
  if (electionMs > MAX_ELECTION_TIMEOUT_MS) {
    return `--election-timeout[${electionMs}ms] is too long, and should be set less than ${MAX_ELECTION_TIMEOUT_MS}ms`;
  }
  return undefined;
}

function serviceFault(values: FlagValues, warn: Warn): string | undefined {
  if (values['advertise-client-urls'].length === 0) return ADVERTISE_CLIENT_URLS_MISSING;
  const mode = values['auto-compaction-mode'];
  if (mode === '') return 'undefined auto-compaction-mode';
  if (mode !== 'periodic' && mode !== 'revision') return `unknown auto-compaction-mode ${quote(mode)}`;
  const percent = values['keystead-auto-disarm-percent'];
  if (percent < 1 || percent > 99) return `--keystead-auto-disarm-percent is ${percent}; it must be 1 to 99`;
  const samples = values['distributed-tracing-sampling-rate'];
  if (values['enable-distributed-tracing'] && (samples < 0 || samples > MAX_TRACING_SAMPLES_PER_MILLION)) {
    const bound = samples < 0 ? 'positive' : `less than ${MAX_TRACING_SAMPLES_PER_MILLION}`;
    return `distributed tracing configurition is not valid: (tracing sampling rate must be ${bound})`;
  }
  const gates = resolveFeatureGates(values['feature-gates']);
  const checkpoints = gates.get('LeaseCheckpoint') === true;
  const persisted = gates.get('LeaseCheckpointPersist') === true;
  if (checkpoints && !persisted) {
    warn(
      'Detected that checkpointing is enabled without persistence. Consider enabling feature gate LeaseCheckpointPersist',
    );
  }
  if (persisted && !checkpoints) {
    return 'enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint';
  }
  const hashCheckMs = values['compact-hash-check-time'];
  if (hashCheckMs <= 0)
    return `--compact-hash-check-time must be >0 (set to ${formatGoDuration(hashCheckMs)})`;
  return undefined;
}

function identityAndTlsFault(values: FlagValues, warn: Warn): string | undefined {
  if (values.name === 'default') {
    warn(
      "it isn't recommended to use default name, please set a value for --name. Note that etcd might run into issue when multiple members have the same default name",
      { name: values.name },
    );
  }
  const versions = ['', 'TLS1.2', 'TLS1.3'];
  const min = values['tls-min-version'];
  const max = values['tls-max-version'];
  const unknown = [min, max].find((version) => !versions.includes(version));
  if (unknown !== undefined)
    return `unexpected TLS version ${quote(unknown)} (must be one of: TLS1.2, TLS1.3)`;
  if (max !== '' && versions.indexOf(min) > versions.indexOf(max)) {
    return `min version (${min}) is greater than max version (${max})`;
  }
  if (min === 'TLS1.3' && values['cipher-suites'].length > 0) {
    return 'cipher suites cannot be configured when only TLS1.3 is enabled';
  }
  return undefined;
}

/** Errors that etcd finds only during its start, after it has accepted the configuration. */
export function startFault(values: FlagValues): string | undefined {
  const suite = unknownCipherSuite(values['cipher-suites']);
  if (suite !== undefined) return `unexpected TLS cipher suite ${quote(suite)}`;
  const tracing = values['distributed-tracing-address'];
  if (values['enable-distributed-tracing'] && splitHostPort(tracing) === undefined) {
    return `invalid distributed tracing address ${quote(tracing)}`;
  }
  return undefined;
}
