/**
 * Every flag of the server, as data. The command line, the environment, the configuration file, the help text and
 * the compatibility table are all derived from it.
 */

/** How a flag's text becomes a value; see value-kinds.ts. */
export type FlagKind =
  | 'string'
  | 'bool'
  | 'uint'
  | 'uintOrAuto'
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
   * The key path in the configuration file. Absent when it is the flag's name at the top level; null when etcd has no
   * key for the flag.
   */
  readonly fileKey?: readonly string[] | null;
}

const CLIENT_TLS = 'client-transport-security';
const PEER_TLS = 'peer-transport-security';
const DISCOVERY = 'discovery-config';

// A table: one flag per line.
// prettier-ignore
const member = [
  { name: 'name', kind: 'string', default: 'default', group: 'Member', help: 'Name of this member.' },
  { name: 'data-dir', kind: 'string', default: '', group: 'Member', help: 'Data directory; empty means the member name with .etcd appended.' },
  { name: 'wal-dir', kind: 'string', default: '', group: 'Member', help: 'Directory of the write-ahead log; empty means inside the data directory.' },
  { name: 'snapshot-count', kind: 'uint64', default: '10000', group: 'Member', help: 'Number of applied entries after which a snapshot is taken and the log is truncated.' },
  { name: 'heartbeat-interval', kind: 'uint', default: '100', group: 'Member', help: 'Milliseconds between heartbeats.' },
  { name: 'election-timeout', kind: 'uint', default: '1000', group: 'Member', help: 'Milliseconds without a heartbeat after which a member starts an election; at least five heartbeat intervals.' },
  { name: 'initial-election-tick-advance', kind: 'bool', default: 'true', group: 'Member', help: 'Start the first election sooner after a start.' },
  { name: 'listen-peer-urls', kind: 'urls', default: 'http://localhost:2380', group: 'Member', help: 'URLs to listen on for peers.' },
  { name: 'listen-client-urls', kind: 'urls', default: 'http://localhost:2379', group: 'Member', help: 'URLs to listen on for clients: gRPC, and also HTTP unless --listen-client-http-urls is set.' },
  { name: 'listen-client-http-urls', kind: 'urls', default: '', group: 'Member', help: 'URLs to listen on for HTTP clients only; --listen-client-urls then serve gRPC only.' },
  { name: 'max-snapshots', kind: 'uint', default: '5', group: 'Member', help: 'Snapshot files to keep; 0 keeps all. Deprecated.' },
  { name: 'max-wals', kind: 'uint', default: '5', group: 'Member', help: 'Log files to keep; 0 keeps all.' },
  { name: 'memory-mlock', kind: 'bool', default: 'false', group: 'Member', help: 'Lock memory pages into RAM.' },
  { name: 'quota-backend-bytes', kind: 'int64', default: '0', group: 'Member', help: 'Store size in bytes at which an alarm is raised and writes are refused; 0 means 2 GiB, a negative value means no limit.' },
  { name: 'backend-bbolt-freelist-type', kind: 'string', default: '', group: 'Member', help: 'A setting of bbolt, which this server does not use. It has no effect.' },
  { name: 'backend-batch-interval', kind: 'duration', default: '0s', group: 'Member', help: 'A setting of bbolt, which this server does not use. It has no effect.' },
  { name: 'backend-batch-limit', kind: 'int', default: '0', group: 'Member', help: 'A setting of bbolt, which this server does not use. It has no effect.' },
  { name: 'max-txn-ops', kind: 'uint', default: '128', group: 'Member', help: 'Maximum number of operations in one transaction.' },
  { name: 'max-request-bytes', kind: 'uint', default: '1572864', group: 'Member', help: 'Maximum size of one request in bytes.' },
  { name: 'max-concurrent-streams', kind: 'uint32', default: '4294967295', group: 'Member', help: 'Maximum number of streams that a client may have open on one connection.' },
  { name: 'grpc-keepalive-min-time', kind: 'duration', default: '5s', group: 'Member', help: 'Minimum time between keepalive pings of a client.' },
  { name: 'grpc-keepalive-interval', kind: 'duration', default: '2h0m0s', group: 'Member', help: 'Idle time after which the server pings a connection; 0 turns it off.' },
  { name: 'grpc-keepalive-timeout', kind: 'duration', default: '20s', group: 'Member', help: 'Time to wait for the answer to a ping before the connection is closed; 0 turns it off.' },
  { name: 'socket-reuse-port', kind: 'bool', default: 'false', group: 'Member', help: 'Set SO_REUSEPORT on listeners.', fileKey: ['socket-options', 'reuse-port'] },
  { name: 'socket-reuse-address', kind: 'bool', default: 'false', group: 'Member', help: 'Set SO_REUSEADDR on listeners. This server always sets it.', fileKey: ['socket-options', 'reuse-address'] },
  { name: 'enable-grpc-gateway', kind: 'bool', default: 'true', group: 'Member', help: 'Serve the JSON gateway under /v3/.' },
  { name: 'raft-read-timeout', kind: 'duration', default: '5s', group: 'Member', help: 'Read timeout of a peer connection; at least 5s.', fileKey: null },
  { name: 'raft-write-timeout', kind: 'duration', default: '5s', group: 'Member', help: 'Write timeout of a peer connection; at least 5s.', fileKey: null },
  { name: 'feature-gates', kind: 'featureGates', default: '', group: 'Member', help: 'Features to turn on or off, as Name=true,Other=false.' },
  { name: 'config-file', kind: 'string', default: '', group: 'Member', help: 'Configuration file in YAML. All other flags and the environment are then ignored.', fileKey: null },
] as const satisfies readonly FlagDefinition[];

// A table: one flag per line.
// prettier-ignore
const clustering = [
  { name: 'initial-advertise-peer-urls', kind: 'urls', default: 'http://localhost:2380', group: 'Clustering', help: 'Peer URLs of this member to advertise to the other members.' },
  { name: 'initial-cluster', kind: 'string', default: 'default=http://localhost:2380', group: 'Clustering', help: 'Members of a new cluster, as name=peer-url,...' },
  { name: 'initial-cluster-state', kind: 'clusterState', default: 'new', group: 'Clustering', help: 'new to start a new cluster, existing to join one. Ignored when the data directory already has data.' },
  { name: 'initial-cluster-token', kind: 'string', default: 'etcd-cluster', group: 'Clustering', help: 'Text from which the cluster id and the member ids of a new cluster are derived. Give each cluster its own token.' },
  { name: 'advertise-client-urls', kind: 'urls', default: 'http://localhost:2379', group: 'Clustering', help: 'Client URLs of this member to advertise to clients and the other members.' },
  { name: 'discovery-token', kind: 'string', default: '', group: 'Clustering', help: 'Discovery: token of the new cluster.', fileKey: [DISCOVERY, 'token'] },
  { name: 'discovery-endpoints', kind: 'uniqueStrings', default: '', group: 'Clustering', help: 'Discovery: endpoints of the discovery service.', fileKey: [DISCOVERY, 'client', 'endpoints'] },
  { name: 'discovery-dial-timeout', kind: 'duration', default: '2s', group: 'Clustering', help: 'Discovery: connect timeout.', fileKey: [DISCOVERY, 'client', 'dial-timeout'] },
  { name: 'discovery-request-timeout', kind: 'duration', default: '5s', group: 'Clustering', help: 'Discovery: request timeout.', fileKey: [DISCOVERY, 'client', 'request-timeout'] },
  { name: 'discovery-keepalive-time', kind: 'duration', default: '2s', group: 'Clustering', help: 'Discovery: time between keepalive pings.', fileKey: [DISCOVERY, 'client', 'keepalive-time'] },
  { name: 'discovery-keepalive-timeout', kind: 'duration', default: '6s', group: 'Clustering', help: 'Discovery: time to wait for the answer to a keepalive ping.', fileKey: [DISCOVERY, 'client', 'keepalive-timeout'] },
  { name: 'discovery-insecure-transport', kind: 'bool', default: 'true', group: 'Clustering', help: 'Discovery: connect without TLS.', fileKey: [DISCOVERY, 'client', 'secure', 'insecure-transport'] },
  { name: 'discovery-insecure-skip-tls-verify', kind: 'bool', default: 'false', group: 'Clustering', help: 'Discovery: accept any certificate. For tests only.', fileKey: [DISCOVERY, 'client', 'secure', 'insecure-skip-tls-verify'] },
  { name: 'discovery-cert', kind: 'string', default: '', group: 'Clustering', help: 'Discovery: client certificate file.', fileKey: [DISCOVERY, 'client', 'secure', 'cert'] },
  { name: 'discovery-key', kind: 'string', default: '', group: 'Clustering', help: 'Discovery: client key file.', fileKey: [DISCOVERY, 'client', 'secure', 'key'] },
  { name: 'discovery-cacert', kind: 'string', default: '', group: 'Clustering', help: 'Discovery: file of trusted CA certificates.', fileKey: [DISCOVERY, 'client', 'secure', 'cacert'] },
  { name: 'discovery-user', kind: 'string', default: '', group: 'Clustering', help: 'Discovery: user name, or user:password.', fileKey: [DISCOVERY, 'client', 'auth', 'username'] },
  { name: 'discovery-password', kind: 'string', default: '', group: 'Clustering', help: 'Discovery: password.', fileKey: [DISCOVERY, 'client', 'auth', 'password'] },
  { name: 'discovery-fallback', kind: 'discoveryFallback', default: 'exit', group: 'Clustering', help: 'What to do when discovery fails; exit is the only supported value.', fileKey: null },
  { name: 'discovery-srv', kind: 'string', default: '', group: 'Clustering', help: 'Domain whose SRV records list the members of a new cluster.' },
  { name: 'discovery-srv-name', kind: 'string', default: '', group: 'Clustering', help: 'Suffix of the service name in the SRV query.' },
  { name: 'strict-reconfig-check', kind: 'bool', default: 'true', group: 'Clustering', help: 'Refuse membership changes that would cause a loss of quorum.' },
  { name: 'pre-vote', kind: 'bool', default: 'true', group: 'Clustering', help: 'Run a pre-vote before each election, so that a member that rejoins does not disrupt the leader.' },
  { name: 'auto-compaction-retention', kind: 'string', default: '0', group: 'Clustering', help: 'History that automatic compaction keeps: hours or a duration in periodic mode, a number of revisions in revision mode; 0 turns it off.' },
  { name: 'auto-compaction-mode', kind: 'string', default: 'periodic', group: 'Clustering', help: 'periodic keeps history by time, revision by number of revisions.' },
  { name: 'v2-deprecation', kind: 'v2Deprecation', default: '', group: 'Clustering', help: 'Has no effect, as in etcd 3.7. Deprecated.' },
] as const satisfies readonly FlagDefinition[];

// A table: one flag per line.
// prettier-ignore
const security = [
  { name: 'cert-file', kind: 'string', default: '', group: 'Security', help: 'Server certificate file for client connections.', fileKey: [CLIENT_TLS, 'cert-file'] },
  { name: 'key-file', kind: 'string', default: '', group: 'Security', help: 'Key file of the server certificate for client connections.', fileKey: [CLIENT_TLS, 'key-file'] },
  { name: 'client-cert-auth', kind: 'bool', default: 'false', group: 'Security', help: 'Require a client certificate.', fileKey: [CLIENT_TLS, 'client-cert-auth'] },
  { name: 'client-cert-file', kind: 'string', default: '', group: 'Security', help: 'Certificate file that this server presents as a client; empty means the server certificate.', fileKey: [CLIENT_TLS, 'client-cert-file'] },
  { name: 'client-key-file', kind: 'string', default: '', group: 'Security', help: 'Key file of --client-cert-file.', fileKey: [CLIENT_TLS, 'client-key-file'] },
  { name: 'client-crl-file', kind: 'string', default: '', group: 'Security', help: 'Certificate revocation list (CRL) file for client certificates.', fileKey: null },
  { name: 'client-cert-allowed-hostname', kind: 'strings', default: '', group: 'Security', help: 'Host names, separated by commas; a client certificate must have one of them.', fileKey: [CLIENT_TLS, 'allowed-hostname'] },
  { name: 'trusted-ca-file', kind: 'string', default: '', group: 'Security', help: 'File of trusted CA certificates for client certificates.', fileKey: [CLIENT_TLS, 'trusted-ca-file'] },
  { name: 'auto-tls', kind: 'bool', default: 'false', group: 'Security', help: 'Generate a self-signed certificate for client connections.', fileKey: [CLIENT_TLS, 'auto-tls'] },
  { name: 'peer-cert-file', kind: 'string', default: '', group: 'Security', help: 'Server certificate file for peer connections.', fileKey: [PEER_TLS, 'cert-file'] },
  { name: 'peer-key-file', kind: 'string', default: '', group: 'Security', help: 'Key file of the server certificate for peer connections.', fileKey: [PEER_TLS, 'key-file'] },
  { name: 'peer-client-cert-auth', kind: 'bool', default: 'false', group: 'Security', help: 'Require a client certificate from peers.', fileKey: [PEER_TLS, 'client-cert-auth'] },
  { name: 'peer-client-cert-file', kind: 'string', default: '', group: 'Security', help: 'Certificate file that this server presents to peers as a client; empty means --peer-cert-file.', fileKey: [PEER_TLS, 'client-cert-file'] },
  { name: 'peer-client-key-file', kind: 'string', default: '', group: 'Security', help: 'Key file of --peer-client-cert-file.', fileKey: [PEER_TLS, 'client-key-file'] },
  { name: 'peer-trusted-ca-file', kind: 'string', default: '', group: 'Security', help: 'File of trusted CA certificates for peer certificates.', fileKey: [PEER_TLS, 'trusted-ca-file'] },
  { name: 'peer-cert-allowed-cn', kind: 'strings', default: '', group: 'Security', help: 'Common names, separated by commas; a peer certificate must have one of them.', fileKey: [PEER_TLS, 'allowed-cn'] },
  { name: 'peer-cert-allowed-hostname', kind: 'strings', default: '', group: 'Security', help: 'Host names, separated by commas; a peer certificate must have one of them.', fileKey: [PEER_TLS, 'allowed-hostname'] },
  { name: 'peer-auto-tls', kind: 'bool', default: 'false', group: 'Security', help: 'Generate a self-signed certificate for peer connections.', fileKey: [PEER_TLS, 'auto-tls'] },
  { name: 'self-signed-cert-validity', kind: 'uint', default: '1', group: 'Security', help: 'Validity of self-signed certificates in years.' },
  { name: 'peer-crl-file', kind: 'string', default: '', group: 'Security', help: 'Certificate revocation list (CRL) file for peer certificates.', fileKey: null },
  { name: 'cipher-suites', kind: 'strings', default: '', group: 'Security', help: 'Cipher suites for TLS 1.2, by their IANA names; empty means the default of Node.js.' },
  { name: 'cors', kind: 'origins', default: '*', group: 'Security', help: 'Allowed CORS origins, separated by commas; * means all.' },
  { name: 'host-whitelist', kind: 'uniqueStrings', default: '*', group: 'Security', help: 'Host names accepted in HTTP requests without TLS, separated by commas; * means all.' },
  { name: 'tls-min-version', kind: 'string', default: 'TLS1.2', group: 'Security', help: 'Lowest TLS version: TLS1.2 or TLS1.3.' },
  { name: 'tls-max-version', kind: 'string', default: '', group: 'Security', help: 'Highest TLS version: TLS1.2 or TLS1.3; empty means the highest supported.' },
  { name: 'peer-skip-client-san-verification', kind: 'bool', default: 'false', group: 'Features', help: 'Do not check the subject alternative names of peer client certificates against the address of the peer.', fileKey: [PEER_TLS, 'skip-client-san-verification'] },
] as const satisfies readonly FlagDefinition[];

// A table: one flag per line.
// prettier-ignore
const operation = [
  { name: 'auth-token', kind: 'string', default: 'simple', group: 'Auth', help: 'Type of auth tokens with its options: simple, or jwt,sign-method=...' },
  { name: 'auth-token-ttl', kind: 'uint', default: '300', group: 'Auth', help: 'Seconds after which an unused simple token expires.' },
  { name: 'bcrypt-cost', kind: 'uint', default: '10', group: 'Auth', help: 'bcrypt cost of password hashes, 4 to 31.' },
  { name: 'enable-pprof', kind: 'bool', default: 'false', group: 'Profiling and Monitoring', help: 'Serve profiles under /debug/pprof/ of the client URLs.' },
  { name: 'metrics', kind: 'string', default: 'basic', group: 'Profiling and Monitoring', help: 'basic or extensive; extensive adds latency histograms for each RPC.' },
  { name: 'listen-metrics-urls', kind: 'urls', default: '', group: 'Profiling and Monitoring', help: 'Additional URLs that serve /metrics and /health.' },
  { name: 'logger', kind: 'string', default: 'zap', group: 'Logging', help: 'Format of the log lines; zap is the only supported value.' },
  { name: 'log-outputs', kind: 'uniqueStrings', default: 'default', group: 'Logging', help: 'default, stderr, stdout, systemd/journal or files, separated by commas.' },
  { name: 'log-level', kind: 'string', default: 'info', group: 'Logging', help: 'debug, info, warn, error, panic or fatal.' },
  { name: 'log-format', kind: 'string', default: 'json', group: 'Logging', help: 'json or console.' },
  { name: 'enable-log-rotation', kind: 'bool', default: 'false', group: 'Logging', help: 'Rotate the log file. --log-outputs must have exactly one file.' },
  { name: 'log-rotation-config-json', kind: 'string', default: '{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}', group: 'Logging', help: 'Log rotation settings: maxsize in MB, maxage in days, maxbackups, localtime, compress.' },
  { name: 'warning-unary-request-duration', kind: 'duration', default: '300ms', group: 'Logging', help: 'Time after which a request is logged as slow.' },
  { name: 'enable-distributed-tracing', kind: 'bool', default: 'false', group: 'Distributed tracing', help: 'Send traces to an OpenTelemetry collector.' },
  { name: 'distributed-tracing-address', kind: 'string', default: 'localhost:4317', group: 'Distributed tracing', help: 'Address of the collector.' },
  { name: 'distributed-tracing-service-name', kind: 'string', default: 'etcd', group: 'Distributed tracing', help: 'Service name in traces.' },
  { name: 'distributed-tracing-instance-id', kind: 'string', default: '', group: 'Distributed tracing', help: 'Instance id in traces.' },
  { name: 'distributed-tracing-sampling-rate', kind: 'int', default: '0', group: 'Distributed tracing', help: 'Number of traces to sample per million.' },
  { name: 'corrupt-check-time', kind: 'duration', default: '0s', group: 'Features', help: 'Interval of corruption checks that compare the data of all members; 0 turns them off.' },
  { name: 'compact-hash-check-time', kind: 'duration', default: '1m0s', group: 'Features', help: 'Interval of corruption checks in which the leader compares the compaction hashes of the followers with its own.' },
  { name: 'compaction-batch-limit', kind: 'int', default: '0', group: 'Features', help: 'Number of revisions that a compaction removes in one batch; 0 means 1000.' },
  { name: 'compaction-sleep-interval', kind: 'duration', default: '0s', group: 'Features', help: 'Pause between batches of a compaction; 0 means 10ms.' },
  { name: 'watch-progress-notify-interval', kind: 'duration', default: '0s', group: 'Features', help: 'Interval of progress notifications of a watch without events; 0 means 10m.' },
  { name: 'downgrade-check-time', kind: 'duration', default: '5s', group: 'Features', help: 'Interval of checks whether a downgrade is complete.' },
  { name: 'warning-apply-duration', kind: 'duration', default: '100ms', group: 'Features', help: 'Time after which the apply of one request is logged as slow.' },
  { name: 'bootstrap-defrag-threshold-megabytes', kind: 'uint', default: '0', group: 'Features', help: 'A setting of bbolt, which this server does not use. It has no effect.' },
  { name: 'max-learners', kind: 'int', default: '1', group: 'Features', help: 'Maximum number of learners in the cluster.' },
  { name: 'snapshot-catchup-entries', kind: 'uint64', default: '5000', group: 'Features', help: 'Number of log entries kept after a snapshot for slow followers.' },
  { name: 'force-new-cluster', kind: 'bool', default: 'false', group: 'Unsafe feature', help: 'Start a new cluster with one member from the existing data.' },
  { name: 'unsafe-no-fsync', kind: 'bool', default: 'false', group: 'Unsafe feature', help: 'Do not wait for the disk: a crash of the machine loses data.' },
  { name: 'version', kind: 'bool', default: 'false', group: 'Member', help: 'Print the version and exit.', fileKey: null },
] as const satisfies readonly FlagDefinition[];

/** Flags that etcd does not have. Most have a prefix, so that they do not collide with future flags of etcd. */
// A table: one flag per line.
// prettier-ignore
const own = [
  { name: 'keystead-block-cache-bytes', kind: 'uint', default: '67108864', group: 'Keystead', help: 'Size of the block cache of the store in bytes.' },
  { name: 'keystead-list-cache-bytes', kind: 'uint', default: '134217728', group: 'Keystead', help: 'Size of the cache of values read by range requests, in bytes; 0 turns it off.' },
  { name: 'keystead-max-logins-per-second', kind: 'uint', default: '500', group: 'Keystead', help: 'Maximum number of Authenticate requests started per second; others wait; 0 means no limit.' },
  { name: 'keystead-serving-threads', kind: 'uintOrAuto', default: 'auto', group: 'Keystead', help: 'Threads that serve the connections of clients: sockets, TLS, HTTP/2 and gRPC framing; 0 leaves them to the main thread. auto is two fewer than the cores, at most 4, and 0 on fewer than four cores and where more than one cannot be used: they need Linux and Node.js 22.12.' },
  { name: 'keystead-raft-thread', kind: 'bool', default: 'false', group: 'Keystead', help: 'Run raft and its log in a thread of their own.' },
  { name: 'keystead-max-connections', kind: 'uint', default: '0', group: 'Keystead', help: 'Maximum number of client connections; 0 means the open-file limit less a reserve.' },
  { name: 'keystead-max-held-bytes', kind: 'uint', default: '0', group: 'Keystead', help: 'Maximum number of bytes buffered for all clients: requests not received completely and responses not sent yet. Above it the connections that hold most are closed; 0 means an eighth of the memory.' },
  { name: 'keystead-max-snapshot-streams', kind: 'uint', default: '4', group: 'Keystead', help: 'Maximum number of snapshots sent to clients at the same time, each by its own thread; others wait.' },
  { name: 'keystead-max-hashes', kind: 'uint', default: '2', group: 'Keystead', help: 'Maximum number of store hashes computed for clients at the same time; others wait.' },
  { name: 'keystead-max-inflight-bytes', kind: 'uint', default: '268435456', group: 'Keystead', help: 'Maximum number of bytes of requests that are proposed and not applied yet; above it new requests are refused.' },
  { name: 'keystead-catchup-bytes', kind: 'uint', default: '134217728', group: 'Keystead', help: 'Maximum number of bytes of log entries that a leader keeps in memory, beyond --snapshot-catchup-entries, for members that lag; members that lag further get a snapshot. 0 keeps none.' },
  { name: 'keystead-usage-prefixes', kind: 'uniqueStrings', default: '', group: 'Keystead', help: 'Prefixes of keys, separated by commas, whose keys, bytes, writes and watches are counted for metrics and "keystead top". With /* at its end each path segment below is counted, as /registry/* for the resources of Kubernetes; empty turns it off.' },
  { name: 'keystead-usage-max-prefixes', kind: 'uint', default: '500', group: 'Keystead', help: 'Maximum number of prefixes that are counted; further ones are counted as "other".' },
  { name: 'keystead-status-urls', kind: 'urls', default: '', group: 'Keystead', help: 'URLs that serve the status page, a read-only view of the cluster for a browser; empty turns it off.' },
  { name: 'audit-log-path', kind: 'string', default: '', group: 'Keystead', help: 'File of the audit log, with one line of JSON per request; - means standard output; empty turns it off.' },
  { name: 'audit-log-level', kind: 'string', default: 'write', group: 'Keystead', help: 'write: logs changes, logins and refused requests; all: logs reads as well.' },
  { name: 'audit-log-max-size', kind: 'uint', default: '100', group: 'Keystead', help: 'Size in megabytes at which the audit log file is rotated; 0 means never.' },
  { name: 'audit-log-max-backups', kind: 'uint', default: '10', group: 'Keystead', help: 'Maximum number of rotated audit log files to keep; 0 keeps all.' },
  { name: 'learner-reads', kind: 'bool', default: 'false', group: 'Keystead', help: 'A learner also serves linearizable reads. Each one waits until the learner has applied what the leader had committed.' },
  { name: 'keystead-backup-url', kind: 'string', default: '', group: 'Keystead', help: 'Where the leader stores backups: a folder, file:///folder, or s3://bucket/prefix. Needs --keystead-backup-interval.' },
  { name: 'keystead-backup-interval', kind: 'duration', default: '0s', group: 'Keystead', help: 'Time between two backups; 0 turns them off.' },
  { name: 'keystead-backup-key-file', kind: 'string', default: '', group: 'Keystead', help: 'Key that backups are encrypted with: a file with 32 random bytes, or their text in hexadecimal or base64.' },
  { name: 'keystead-backup-keep-last', kind: 'uint', default: '0', group: 'Keystead', help: 'Number of the newest backups that are kept. With 0 for this and --keystead-backup-keep-days none is removed.' },
  { name: 'keystead-backup-keep-days', kind: 'uint', default: '0', group: 'Keystead', help: 'Days that backups are kept. With 0 for this and --keystead-backup-keep-last none is removed.' },
  { name: 'keystead-backup-log-interval', kind: 'duration', default: '5s', group: 'Keystead', help: 'How often the leader stores the changes since the last backup, so that a restore reaches any moment; 0 stores only backups. Has an effect with --keystead-backup-url.' },
  { name: 'keystead-backup-log-max-bytes', kind: 'uint', default: '67108864', group: 'Keystead', help: 'Maximum number of bytes of changes that each member keeps in memory until they are stored; with more there is a gap, and a new backup is taken.' },
  { name: 'keystead-rejoin', kind: 'bool', default: 'false', group: 'Keystead', help: 'A member without data rejoins its running cluster under a new id, first as a learner. As leader, replaces such members if they are silent and a quorum is healthy.' },
  { name: 'keystead-auto-disarm', kind: 'bool', default: 'false', group: 'Keystead', help: 'While the NOSPACE alarm is raised, the leader compacts to the configured retention, and disarms the alarm when the store is small enough.' },
  { name: 'keystead-auto-disarm-percent', kind: 'uint', default: '80', group: 'Keystead', help: 'Percent of the quota; --keystead-auto-disarm disarms the alarm when the store is smaller.' },
  { name: 'auto-promote-learners', kind: 'bool', default: 'false', group: 'Keystead', help: 'The leader promotes learners that have caught up.' },
] as const satisfies readonly FlagDefinition[];

const all = [...member, ...clustering, ...security, ...operation, ...own] as const;

export type FlagName = (typeof all)[number]['name'];

/** The kind of each flag, by name. */
export type FlagKinds = { readonly [F in (typeof all)[number] as F['name']]: F['kind'] };

export const flagDefinitions: readonly (FlagDefinition & { readonly name: FlagName })[] = all;

const byName: ReadonlyMap<string, FlagDefinition & { readonly name: FlagName }> = new Map(
  flagDefinitions.map((flag) => [flag.name, flag]),
);

export function findFlag(name: string): (FlagDefinition & { readonly name: FlagName }) | undefined {
  return byName.get(name);
}

/** Very old flags that etcd still accepts and ignores. */
export const ignoredFlags: ReadonlySet<string> = new Set([
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

/** Listed in etcd's help but not defined by its parser. Using one is an error in etcd and in Keystead. */
export const listedOnlyFlags: ReadonlySet<string> = new Set(['discovery', 'discovery-proxy']);

/** The name of the environment variable that sets a flag. */
export function environmentName(flag: string): string {
  return `ETCD_${flag.toUpperCase().replaceAll('-', '_')}`;
}
