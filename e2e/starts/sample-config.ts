/** Where a member with the sample listens, in place of the usual ports. */
export interface SamplePlaces {
  readonly clientUrl: string;
  readonly peerUrl: string;
}

/**
 * A configuration file with each key of the sample that etcd 3.7.1 comes with, and its values apart from the
 * addresses to listen on. Keys of proxies and of the old discovery, which etcd itself no longer reads, are among them.
 */
export function sampleConfig({ clientUrl, peerUrl }: SamplePlaces): string {
  return `# A member, its data in the directory that it runs in.
name: 'default'
data-dir:
wal-dir:
snapshot-count: 10000
heartbeat-interval: 100 # milliseconds
election-timeout: 1000
quota-backend-bytes: 0
listen-peer-urls: ${peerUrl}
listen-client-urls: ${clientUrl}
max-snapshots: 5
max-wals: 5
cors:
initial-advertise-peer-urls: http://localhost:2380 # the default of initial-cluster, too
advertise-client-urls: ${clientUrl}

# How the cluster is found.
discovery:
discovery-fallback: 'proxy'
discovery-proxy:
discovery-srv:
initial-cluster:
initial-cluster-token: 'etcd-cluster'
initial-cluster-state: 'new'
strict-reconfig-check: false

enable-pprof: true

# Without effect for long.
proxy: 'off'
proxy-failure-wait: 5000
proxy-refresh-interval: 30000
proxy-dial-timeout: 1000
proxy-write-timeout: 5000
proxy-read-timeout: 0

client-transport-security:
  cert-file:
  key-file:
  client-cert-auth: false
  trusted-ca-file:
  auto-tls: false

peer-transport-security:
  cert-file:
  key-file:
  client-cert-auth: false
  trusted-ca-file:
  auto-tls: false
  allowed-cn:
  allowed-hostname:

self-signed-cert-validity: 1

log-level: debug
logger: zap
log-outputs: [stderr]

force-new-cluster: false

auto-compaction-mode: periodic
auto-compaction-retention: "1"

cipher-suites: [
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
]
tls-min-version: 'TLS1.2'
tls-max-version: 'TLS1.3'
`;
}
