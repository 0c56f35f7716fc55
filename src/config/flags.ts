/**
 * Every flag of the server, as data: what the command line, the environment, the configuration file, the help
 * text and the compatibility table know of it.
 */

/** How a flag's text becomes a value; see value-kinds.ts. */
export type FlagKind =
  | 'string'
  | 'bool'
  | 'uint'
  | 'uint32'
  | 'uint64'
  | 'int'
  | 'int64'
  | 'duration'
  | 'urls'
  | 'origins'
  | 'strings'
  | 'uniqueStrings'
  | 'clusterState'
  | 'discoveryFallback'
  | 'v2Deprecation'
  | 'featureGates';

export type FlagGroup =
  | 'Member'
  | 'Clustering'
  | 'Security'
  | 'Auth'
  | 'Profiling and Monitoring'
  | 'Logging'
  | 'Distributed tracing'
  | 'Features'
  | 'Unsafe feature'
  | 'Keystead';

export interface FlagDefinition {
  readonly name: string;
  readonly kind: FlagKind;
  /** In the flag's own syntax; an empty text is the empty or zero value. */
  readonly default: string;
  readonly group: FlagGroup;
  readonly help: string;
  /**
   * The key path in the configuration file where it is not the flag's name at the top level, or null where etcd
   * offers none.
   */
  readonly fileKey?: readonly string[] | null;
}

const clientTls = 'client-transport-security';
const peerTls = 'peer-transport-security';
const discovery = 'discovery-config';

// One flag a line reads as the table it is.
// prettier-ignore
const member = [
  { name: 'name', kind: 'string', default: 'default', group: 'Member', help: 'Name of this member.' },
  { name: 'data-dir', kind: 'string', default: '', group: 'Member', help: 'Directory of the data; empty means the name with .etcd appended.' },
  { name: 'wal-dir', kind: 'string', default: '', group: 'Member', help: 'Directory of the write-ahead log, where it should lie apart from the data.' },
  { name: 'snapshot-count', kind: 'uint64', default: '10000', group: 'Member', help: 'Applied entries after which a snapshot is taken and the log may shrink.' },
  { name: 'heartbeat-interval', kind: 'uint', default: '100', group: 'Member', help: 'Milliseconds between heartbeats.' },
  { name: 'election-timeout', kind: 'uint', default: '1000', group: 'Member', help: 'Milliseconds without a leader after which an election starts; at least five heartbeats.' },
  { name: 'initial-election-tick-advance', kind: 'bool', default: 'true', group: 'Member', help: 'Shorten the wait for the first election after a start.' },
  { name: 'listen-peer-urls', kind: 'urls', default: 'http://localhost:2380', group: 'Member', help: 'Addresses on which peers are served.' },
  { name: 'listen-client-urls', kind: 'urls', default: 'http://localhost:2379', group: 'Member', help: 'Addresses on which clients are served: gRPC, and HTTP unless it has addresses of its own.' },
  { name: 'listen-client-http-urls', kind: 'urls', default: '', group: 'Member', help: 'Addresses for HTTP clients alone; the other client addresses then serve gRPC alone.' },
  { name: 'max-snapshots', kind: 'uint', default: '5', group: 'Member', help: 'Snapshot files to keep; 0 keeps all. Deprecated.' },
  { name: 'max-wals', kind: 'uint', default: '5', group: 'Member', help: 'Log files to keep; 0 keeps all.' },
  { name: 'memory-mlock', kind: 'bool', default: 'false', group: 'Member', help: 'Lock memory pages into RAM.' },
  { name: 'quota-backend-bytes', kind: 'int64', default: '0', group: 'Member', help: 'Size of the store at which writes stop with an alarm; 0 means 2 GiB, below 0 means no limit.' },
  { name: 'backend-bbolt-freelist-type', kind: 'string', default: '', group: 'Member', help: 'Of bbolt, which this server does not use: without effect.' },
  { name: 'backend-batch-interval', kind: 'duration', default: '0s', group: 'Member', help: 'Of bbolt, which this server does not use: without effect.' },
  { name: 'backend-batch-limit', kind: 'int', default: '0', group: 'Member', help: 'Of bbolt, which this server does not use: without effect.' },
  { name: 'max-txn-ops', kind: 'uint', default: '128', group: 'Member', help: 'Operations allowed in one transaction.' },
  { name: 'max-request-bytes', kind: 'uint', default: '1572864', group: 'Member', help: 'Bytes allowed in one request.' },
  { name: 'max-concurrent-streams', kind: 'uint32', default: '4294967295', group: 'Member', help: 'Streams a client may hold open on one connection.' },
  { name: 'grpc-keepalive-min-time', kind: 'duration', default: '5s', group: 'Member', help: 'Shortest time a client must leave between pings.' },
  { name: 'grpc-keepalive-interval', kind: 'duration', default: '2h0m0s', group: 'Member', help: 'Idle time after which the server pings a connection; 0 turns it off.' },
  { name: 'grpc-keepalive-timeout', kind: 'duration', default: '20s', group: 'Member', help: 'Time a pinged connection has to answer; 0 turns it off.' },
  { name: 'socket-reuse-port', kind: 'bool', default: 'false', group: 'Member', help: 'Set SO_REUSEPORT on listeners.', fileKey: ['socket-options', 'reuse-port'] },
  { name: 'socket-reuse-address', kind: 'bool', default: 'false', group: 'Member', help: 'Set SO_REUSEADDR on listeners; this server always does.', fileKey: ['socket-options', 'reuse-address'] },
  { name: 'enable-grpc-gateway', kind: 'bool', default: 'true', group: 'Member', help: 'Serve the JSON gateway under /v3/.' },
  { name: 'raft-read-timeout', kind: 'duration', default: '5s', group: 'Member', help: 'Time after which a silent peer connection is closed; at least 5s.', fileKey: null },
  { name: 'raft-write-timeout', kind: 'duration', default: '5s', group: 'Member', help: 'Time after which a blocked peer connection is closed; at least 5s.', fileKey: null },
  { name: 'feature-gates', kind: 'featureGates', default: '', group: 'Member', help: 'Features to turn on or off, as Name=true,Other=false.' },
  { name: 'config-file', kind: 'string', default: '', group: 'Member', help: 'YAML file with the configuration; all other flags and the environment are then left unread.', fileKey: null },
] as const satisfies readonly FlagDefinition[];

// One flag a line reads as the table it is.
// prettier-ignore
const clustering = [
  { name: 'initial-advertise-peer-urls', kind: 'urls', default: 'http://localhost:2380', group: 'Clustering', help: 'Peer addresses told to the other members.' },
  { name: 'initial-cluster', kind: 'string', default: 'default=http://localhost:2380', group: 'Clustering', help: 'Members of a new cluster, as name=peer-url,...' },
  { name: 'initial-cluster-state', kind: 'clusterState', default: 'new', group: 'Clustering', help: 'new for a new cluster, existing to join one. Without meaning once there is data.' },
  { name: 'initial-cluster-token', kind: 'string', default: 'etcd-cluster', group: 'Clustering', help: 'Text that enters the ids of a new cluster, so that clusters alike in all else stay apart.' },
  { name: 'advertise-client-urls', kind: 'urls', default: 'http://localhost:2379', group: 'Clustering', help: 'Client addresses told to clients and the other members.' },
  { name: 'discovery-token', kind: 'string', default: '', group: 'Clustering', help: 'Discovery: token of the cluster to be formed.', fileKey: [discovery, 'token'] },
  { name: 'discovery-endpoints', kind: 'uniqueStrings', default: '', group: 'Clustering', help: 'Discovery: addresses of the discovery service.', fileKey: [discovery, 'client', 'endpoints'] },
  { name: 'discovery-dial-timeout', kind: 'duration', default: '2s', group: 'Clustering', help: 'Discovery: time to connect.', fileKey: [discovery, 'client', 'dial-timeout'] },
  { name: 'discovery-request-timeout', kind: 'duration', default: '5s', group: 'Clustering', help: 'Discovery: time for a request.', fileKey: [discovery, 'client', 'request-timeout'] },
  { name: 'discovery-keepalive-time', kind: 'duration', default: '2s', group: 'Clustering', help: 'Discovery: time between keepalive pings.', fileKey: [discovery, 'client', 'keepalive-time'] },
  { name: 'discovery-keepalive-timeout', kind: 'duration', default: '6s', group: 'Clustering', help: 'Discovery: time for a ping to be answered.', fileKey: [discovery, 'client', 'keepalive-timeout'] },
  { name: 'discovery-insecure-transport', kind: 'bool', default: 'true', group: 'Clustering', help: 'Discovery: connect without TLS.', fileKey: [discovery, 'client', 'secure', 'insecure-transport'] },
  { name: 'discovery-insecure-skip-tls-verify', kind: 'bool', default: 'false', group: 'Clustering', help: 'Discovery: accept any certificate. For tests alone.', fileKey: [discovery, 'client', 'secure', 'insecure-skip-tls-verify'] },
  { name: 'discovery-cert', kind: 'string', default: '', group: 'Clustering', help: 'Discovery: client certificate file.', fileKey: [discovery, 'client', 'secure', 'cert'] },
  { name: 'discovery-key', kind: 'string', default: '', group: 'Clustering', help: 'Discovery: client key file.', fileKey: [discovery, 'client', 'secure', 'key'] },
  { name: 'discovery-cacert', kind: 'string', default: '', group: 'Clustering', help: 'Discovery: file of trusted certificates.', fileKey: [discovery, 'client', 'secure', 'cacert'] },
  { name: 'discovery-user', kind: 'string', default: '', group: 'Clustering', help: 'Discovery: user name, or user:password.', fileKey: [discovery, 'client', 'auth', 'username'] },
  { name: 'discovery-password', kind: 'string', default: '', group: 'Clustering', help: 'Discovery: password.', fileKey: [discovery, 'client', 'auth', 'password'] },
  { name: 'discovery-fallback', kind: 'discoveryFallback', default: 'exit', group: 'Clustering', help: 'What to do when discovery fails; exit is all there is.', fileKey: null },
  { name: 'discovery-srv', kind: 'string', default: '', group: 'Clustering', help: 'Domain whose SRV records list the members of a new cluster.' },
  { name: 'discovery-srv-name', kind: 'string', default: '', group: 'Clustering', help: 'Suffix of the service name asked for in SRV records.' },
  { name: 'strict-reconfig-check', kind: 'bool', default: 'true', group: 'Clustering', help: 'Refuse membership changes that would lose the quorum.' },
  { name: 'pre-vote', kind: 'bool', default: 'true', group: 'Clustering', help: 'Ask for votes on trial before an election, so that a returning member disturbs nobody.' },
  { name: 'auto-compaction-retention', kind: 'string', default: '0', group: 'Clustering', help: 'History to keep when compacting on its own: hours or a duration, or revisions; 0 turns it off.' },
  { name: 'auto-compaction-mode', kind: 'string', default: 'periodic', group: 'Clustering', help: 'periodic keeps history by time, revision by count.' },
  { name: 'v2-deprecation', kind: 'v2Deprecation', default: '', group: 'Clustering', help: 'Accepted and without effect, as in etcd 3.7. Deprecated.' },
] as const satisfies readonly FlagDefinition[];

// One flag a line reads as the table it is.
// prettier-ignore
const security = [
  { name: 'cert-file', kind: 'string', default: '', group: 'Security', help: 'Server certificate for clients.', fileKey: [clientTls, 'cert-file'] },
  { name: 'key-file', kind: 'string', default: '', group: 'Security', help: 'Key of the server certificate for clients.', fileKey: [clientTls, 'key-file'] },
  { name: 'client-cert-auth', kind: 'bool', default: 'false', group: 'Security', help: 'Require a client certificate.', fileKey: [clientTls, 'client-cert-auth'] },
  { name: 'client-cert-file', kind: 'string', default: '', group: 'Security', help: 'Certificate to present as a client, where it differs from the server certificate.', fileKey: [clientTls, 'client-cert-file'] },
  { name: 'client-key-file', kind: 'string', default: '', group: 'Security', help: 'Key of the certificate to present as a client.', fileKey: [clientTls, 'client-key-file'] },
  { name: 'client-crl-file', kind: 'string', default: '', group: 'Security', help: 'Revocation list for client certificates.', fileKey: null },
  { name: 'client-cert-allowed-hostname', kind: 'strings', default: '', group: 'Security', help: 'Names of which a client certificate must carry one.', fileKey: [clientTls, 'allowed-hostname'] },
  { name: 'trusted-ca-file', kind: 'string', default: '', group: 'Security', help: 'Authorities trusted for client certificates.', fileKey: [clientTls, 'trusted-ca-file'] },
  { name: 'auto-tls', kind: 'bool', default: 'false', group: 'Security', help: 'Serve clients with a self-signed certificate.', fileKey: [clientTls, 'auto-tls'] },
  { name: 'peer-cert-file', kind: 'string', default: '', group: 'Security', help: 'Server certificate for peers.', fileKey: [peerTls, 'cert-file'] },
  { name: 'peer-key-file', kind: 'string', default: '', group: 'Security', help: 'Key of the server certificate for peers.', fileKey: [peerTls, 'key-file'] },
  { name: 'peer-client-cert-auth', kind: 'bool', default: 'false', group: 'Security', help: 'Require a certificate of peers.', fileKey: [peerTls, 'client-cert-auth'] },
  { name: 'peer-client-cert-file', kind: 'string', default: '', group: 'Security', help: 'Certificate to present to peers, where it differs.', fileKey: [peerTls, 'client-cert-file'] },
  { name: 'peer-client-key-file', kind: 'string', default: '', group: 'Security', help: 'Key of the certificate to present to peers.', fileKey: [peerTls, 'client-key-file'] },
  { name: 'peer-trusted-ca-file', kind: 'string', default: '', group: 'Security', help: 'Authorities trusted for peer certificates.', fileKey: [peerTls, 'trusted-ca-file'] },
  { name: 'peer-cert-allowed-cn', kind: 'strings', default: '', group: 'Security', help: 'Common names of which a peer certificate must carry one.', fileKey: [peerTls, 'allowed-cn'] },
  { name: 'peer-cert-allowed-hostname', kind: 'strings', default: '', group: 'Security', help: 'Names of which a peer certificate must carry one.', fileKey: [peerTls, 'allowed-hostname'] },
  { name: 'peer-auto-tls', kind: 'bool', default: 'false', group: 'Security', help: 'Serve peers with a self-signed certificate.', fileKey: [peerTls, 'auto-tls'] },
  { name: 'self-signed-cert-validity', kind: 'uint', default: '1', group: 'Security', help: 'Years a self-signed certificate is valid.' },
  { name: 'peer-crl-file', kind: 'string', default: '', group: 'Security', help: 'Revocation list for peer certificates.', fileKey: null },
  { name: 'cipher-suites', kind: 'strings', default: '', group: 'Security', help: 'Cipher suites for TLS 1.2, by their IANA names; empty leaves the choice to the runtime.' },
  { name: 'cors', kind: 'origins', default: '*', group: 'Security', help: 'Origins that browsers may call from; * means all.' },
  { name: 'host-whitelist', kind: 'uniqueStrings', default: '*', group: 'Security', help: 'Host names accepted in plain HTTP requests; * means all.' },
  { name: 'tls-min-version', kind: 'string', default: 'TLS1.2', group: 'Security', help: 'Lowest TLS version: TLS1.2 or TLS1.3.' },
  { name: 'tls-max-version', kind: 'string', default: '', group: 'Security', help: 'Highest TLS version: TLS1.2 or TLS1.3; empty means the highest there is.' },
  { name: 'peer-skip-client-san-verification', kind: 'bool', default: 'false', group: 'Features', help: 'Do not compare a peer certificate with its address.', fileKey: [peerTls, 'skip-client-san-verification'] },
] as const satisfies readonly FlagDefinition[];

// One flag a line reads as the table it is.
// prettier-ignore
const operation = [
  { name: 'auth-token', kind: 'string', default: 'simple', group: 'Auth', help: 'Kind of auth tokens and its options: simple or jwt,...' },
  { name: 'auth-token-ttl', kind: 'uint', default: '300', group: 'Auth', help: 'Seconds a simple token lives without use.' },
  { name: 'bcrypt-cost', kind: 'uint', default: '10', group: 'Auth', help: 'Cost of password hashes, 4 to 31.' },
  { name: 'enable-pprof', kind: 'bool', default: 'false', group: 'Profiling and Monitoring', help: 'Serve profiles under /debug/pprof/ of the client addresses.' },
  { name: 'metrics', kind: 'string', default: 'basic', group: 'Profiling and Monitoring', help: 'extensive adds latency histograms of each RPC.' },
  { name: 'listen-metrics-urls', kind: 'urls', default: '', group: 'Profiling and Monitoring', help: 'Further addresses for metrics and health.' },
  { name: 'logger', kind: 'string', default: 'zap', group: 'Logging', help: 'zap is all there is; it names the shape of the log lines.' },
  { name: 'log-outputs', kind: 'uniqueStrings', default: 'default', group: 'Logging', help: 'default, stderr, stdout, systemd/journal or files, separated by commas.' },
  { name: 'log-level', kind: 'string', default: 'info', group: 'Logging', help: 'debug, info, warn, error, panic or fatal.' },
  { name: 'log-format', kind: 'string', default: 'json', group: 'Logging', help: 'json or console.' },
  { name: 'enable-log-rotation', kind: 'bool', default: 'false', group: 'Logging', help: 'Rotate the one log file among the outputs.' },
  { name: 'log-rotation-config-json', kind: 'string', default: '{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}', group: 'Logging', help: 'How to rotate: maxsize in MB, maxage in days, maxbackups, localtime, compress.' },
  { name: 'warning-unary-request-duration', kind: 'duration', default: '300ms', group: 'Logging', help: 'Time after which a request is logged as slow.' },
  { name: 'enable-distributed-tracing', kind: 'bool', default: 'false', group: 'Distributed tracing', help: 'Send traces to an OpenTelemetry collector.' },
  { name: 'distributed-tracing-address', kind: 'string', default: 'localhost:4317', group: 'Distributed tracing', help: 'Address of the collector.' },
  { name: 'distributed-tracing-service-name', kind: 'string', default: 'etcd', group: 'Distributed tracing', help: 'Service name in traces.' },
  { name: 'distributed-tracing-instance-id', kind: 'string', default: '', group: 'Distributed tracing', help: 'Instance id in traces.' },
  { name: 'distributed-tracing-sampling-rate', kind: 'int', default: '0', group: 'Distributed tracing', help: 'Traces kept of a million.' },
  { name: 'corrupt-check-time', kind: 'duration', default: '0s', group: 'Features', help: "Time between comparisons of all members' data; 0 turns them off." },
  { name: 'compact-hash-check-time', kind: 'duration', default: '1m0s', group: 'Features', help: "Time between comparisons of the followers' hashes at the last compaction." },
  { name: 'compaction-batch-limit', kind: 'int', default: '0', group: 'Features', help: 'Revisions removed in one slice of a compaction; 0 means 1000.' },
  { name: 'compaction-sleep-interval', kind: 'duration', default: '0s', group: 'Features', help: 'Pause between slices of a compaction; 0 means 10ms.' },
  { name: 'watch-progress-notify-interval', kind: 'duration', default: '0s', group: 'Features', help: 'Time between progress notices of a quiet watch; 0 means 10m.' },
  { name: 'downgrade-check-time', kind: 'duration', default: '5s', group: 'Features', help: 'Time between checks whether a downgrade is complete.' },
  { name: 'warning-apply-duration', kind: 'duration', default: '100ms', group: 'Features', help: 'Time after which applying one request is logged as slow.' },
  { name: 'bootstrap-defrag-threshold-megabytes', kind: 'uint', default: '0', group: 'Features', help: 'Of bbolt, which this server does not use: without effect.' },
  { name: 'max-learners', kind: 'int', default: '1', group: 'Features', help: 'Learners the cluster may have at once.' },
  { name: 'snapshot-catchup-entries', kind: 'uint64', default: '5000', group: 'Features', help: 'Entries kept behind a snapshot for slow followers.' },
  { name: 'force-new-cluster', kind: 'bool', default: 'false', group: 'Unsafe feature', help: 'Start as the only member of a cluster made of this data.' },
  { name: 'unsafe-no-fsync', kind: 'bool', default: 'false', group: 'Unsafe feature', help: 'Do not wait for the disk: a crash of the machine loses data.' },
  { name: 'version', kind: 'bool', default: 'false', group: 'Member', help: 'Print the version and exit.', fileKey: null },
] as const satisfies readonly FlagDefinition[];

/** Keystead's own; the prefix of most keeps them clear of whatever etcd adds. */
// One flag a line reads as the table it is.
// prettier-ignore
const own = [
  { name: 'keystead-block-cache-bytes', kind: 'uint', default: '67108864', group: 'Keystead', help: 'Memory for blocks of the store.' },
  { name: 'keystead-list-cache-bytes', kind: 'uint', default: '134217728', group: 'Keystead', help: 'Memory for values that lists have read, for the next ones. 0 keeps none.' },
  { name: 'keystead-max-logins-per-second', kind: 'uint', default: '500', group: 'Keystead', help: 'Authenticate requests begun in a second; further ones wait; 0 means no limit.' },
  { name: 'keystead-max-connections', kind: 'uint', default: '0', group: 'Keystead', help: 'Client connections served at once; 0 means the open-file limit less a reserve.' },
  { name: 'keystead-max-held-bytes', kind: 'uint', default: '0', group: 'Keystead', help: 'Bytes held for clients of requests not whole yet and responses not taken; above it those who hoard are disconnected; 0 means an eighth of the memory.' },
  { name: 'keystead-max-snapshot-streams', kind: 'uint', default: '4', group: 'Keystead', help: 'Snapshots sent to clients at a time, each by a thread of its own; further ones wait.' },
  { name: 'keystead-max-hashes', kind: 'uint', default: '2', group: 'Keystead', help: 'Hashes of the store made for clients at a time; further ones wait.' },
  { name: 'keystead-max-inflight-bytes', kind: 'uint', default: '268435456', group: 'Keystead', help: 'Bytes of requests proposed and not yet applied, above which new ones are refused.' },
  { name: 'audit-log-path', kind: 'string', default: '', group: 'Keystead', help: 'File of the audit log, a line of JSON for each request; - for standard output; empty turns it off.' },
  { name: 'audit-log-level', kind: 'string', default: 'write', group: 'Keystead', help: 'write: what changes something, logins and refusals; all: reads as well.' },
  { name: 'audit-log-max-size', kind: 'uint', default: '100', group: 'Keystead', help: 'Megabytes after which the file of the audit log moves aside; 0 means never.' },
  { name: 'audit-log-max-backups', kind: 'uint', default: '10', group: 'Keystead', help: 'Files of the audit log moved aside that are kept; 0 keeps all.' },
  { name: 'learner-reads', kind: 'bool', default: 'false', group: 'Keystead', help: 'As a learner, answer linearizable reads too: each waits for what the leader has committed.' },
  { name: 'auto-promote-learners', kind: 'bool', default: 'false', group: 'Keystead', help: 'As leader, promote learners that have caught up.' },
] as const satisfies readonly FlagDefinition[];

const all = [...member, ...clustering, ...security, ...operation, ...own] as const;

export type FlagName = (typeof all)[number]['name'];

/** The kind of each flag by its name. */
export type FlagKinds = { readonly [F in (typeof all)[number] as F['name']]: F['kind'] };

export const flagDefinitions: readonly (FlagDefinition & { readonly name: FlagName })[] = all;

const byName: ReadonlyMap<string, FlagDefinition & { readonly name: FlagName }> = new Map(
  flagDefinitions.map((flag) => [flag.name, flag]),
);

export function findFlag(name: string): (FlagDefinition & { readonly name: FlagName }) | undefined {
  return byName.get(name);
}

/** Names of very old flags that etcd still swallows, with or without a value, and does nothing with. */
export const swallowedFlags: ReadonlySet<string> = new Set([
  'cluster-active-size',
  'cluster-remove-delay',
  'cluster-sync-interval',
  'config',
  'force',
  'max-result-buffer',
  'max-retry-attempts',
  'peer-heartbeat-interval',
  'peer-election-timeout',
  'retry-interval',
  'snapshot',
  'v',
  'vv',
  'test.coverprofile',
  'test.outputdir',
]);

/** Listed in etcd's help but not defined by its parser: giving one is an error there and here. */
export const listedOnlyFlags: ReadonlySet<string> = new Set(['discovery', 'discovery-proxy']);

/** The environment variable that stands for a flag. */
export function environmentName(flag: string): string {
  return `ETCD_${flag.toUpperCase().replaceAll('-', '_')}`;
}
