import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FlagName } from '../../src/config/flags.ts';
import type { Certificates } from '../harness/certificates.ts';
import { freePort } from '../harness/ports.ts';

/** Values of flags that can be given together, each in the command line's own syntax. */
export type FlagTexts = Readonly<Partial<Record<FlagName, string>>>;

const HOST = '127.0.0.1';

/** The flags of a member that is alone, with its addresses, its files below `folder`, and plain HTTP. */
export async function loneMember(folder: string): Promise<FlagTexts> {
  const client = `http://${HOST}:${await freePort()}`;
  const peer = `http://${HOST}:${await freePort()}`;
  return {
    name: 'lone',
    'data-dir': join(folder, 'data'),
    'wal-dir': join(folder, 'wal'),
    'snapshot-count': '100',
    'snapshot-catchup-entries': '100',
    'max-snapshots': '3',
    'max-wals': '3',
    'memory-mlock': 'true',
    'heartbeat-interval': '50',
    'election-timeout': '500',
    'initial-election-tick-advance': 'false',
    'listen-client-urls': client,
    'advertise-client-urls': client,
    'listen-client-http-urls': `http://${HOST}:${await freePort()}`,
    'listen-metrics-urls': `http://${HOST}:${await freePort()}`,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `lone=${peer}`,
    'initial-cluster-state': 'new',
    'initial-cluster-token': 'apart',
    'strict-reconfig-check': 'false',
    'pre-vote': 'false',
    'auto-compaction-mode': 'revision',
    'auto-compaction-retention': '1000',
    'v2-deprecation': 'write-only',
    'quota-backend-bytes': '1073741824',
    'backend-bbolt-freelist-type': 'map',
    'backend-batch-interval': '50ms',
    'backend-batch-limit': '100',
    'bootstrap-defrag-threshold-megabytes': '10',
    'max-txn-ops': '64',
    'max-request-bytes': '100000',
    'max-concurrent-streams': '100',
    'grpc-keepalive-min-time': '1s',
    'grpc-keepalive-interval': '1h30m',
    'grpc-keepalive-timeout': '9s',
    'socket-reuse-address': 'true',
    'enable-distributed-tracing': 'true',
    'distributed-tracing-address': `${HOST}:${await freePort()}`,
    'distributed-tracing-service-name': 'lone',
    'distributed-tracing-instance-id': 'lone-0',
    'distributed-tracing-sampling-rate': '1',
    'enable-grpc-gateway': 'false',
    'raft-read-timeout': '7s',
    'raft-write-timeout': '7s',
    'feature-gates': 'InitialCorruptCheck=true,CompactHashCheck=true,LeaseCheckpoint=true',
    cors: 'http://a:7,http://b:7',
    'host-whitelist': `${HOST},localhost`,
    'auth-token': 'simple',
    'auth-token-ttl': '100',
    'bcrypt-cost': '4',
    'enable-pprof': 'true',
    metrics: 'extensive',
    logger: 'zap',
    'log-outputs': join(folder, 'log'),
    'log-level': 'debug',
    'log-format': 'console',
    'enable-log-rotation': 'true',
    'log-rotation-config-json': '{"maxsize": 7}',
    'warning-unary-request-duration': '1s',
    'warning-apply-duration': '1s',
    'corrupt-check-time': '1h',
    'compact-hash-check-time': '2m',
    'compaction-batch-limit': '10',
    'compaction-sleep-interval': '5ms',
    'watch-progress-notify-interval': '1m',
    'downgrade-check-time': '9s',
    'max-learners': '2',
    'unsafe-no-fsync': 'true',
    'learner-reads': 'true',
    'auto-promote-learners': 'true',
    'keystead-auto-disarm': 'true',
    'keystead-auto-disarm-percent': '70',
    'keystead-rejoin': 'true',
    'keystead-block-cache-bytes': '1000000',
    'keystead-list-cache-bytes': '0',
    'keystead-max-logins-per-second': '5',
    'keystead-serving-threads': '1',
    'keystead-raft-thread': 'true',
    'keystead-max-connections': '50',
    'keystead-max-held-bytes': '10000000',
    'keystead-max-inflight-bytes': '10000000',
    'keystead-catchup-bytes': '10000000',
    'keystead-max-snapshot-streams': '1',
    'keystead-max-hashes': '1',
    'keystead-usage-prefixes': '/registry/*',
    'keystead-status-urls': `http://${HOST}:${await freePort()}`,
    'keystead-usage-max-prefixes': '7',
    'keystead-backup-url': join(folder, 'backups'),
    'keystead-backup-interval': '1h',
    'keystead-backup-key-file': backupKey(folder),
    'keystead-backup-keep-last': '7',
    'keystead-backup-keep-days': '7',
    'keystead-backup-log-interval': '10s',
    'keystead-backup-log-max-bytes': '20000000',
    'audit-log-path': join(folder, 'audit'),
    'audit-log-level': 'all',
    'audit-log-max-size': '7',
    'audit-log-max-backups': '7',
  };
}

function backupKey(folder: string): string {
  const path = join(folder, 'backup.key');
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, randomBytes(32));
  return path;
}

/** Starts the data of `before` again, as the only member of a new cluster. */
export function forced(before: FlagTexts): FlagTexts {
  return { ...before, 'force-new-cluster': 'true', 'initial-cluster-state': 'existing' };
}

/** Writes what {@link secureMember} and {@link discovering} name: an authority, its certificates and its list. */
export function issueCertificates(files: Certificates): void {
  const hosts = ['localhost', HOST];
  for (const name of ['server', 'client', 'peer']) files.issue(name, { hosts, commonName: name });
  files.write('crl', files.authority.revoke(files.authority.issue({ commonName: 'revoked' })));
}

/** The flags of a member that asks clients and peers for certificates. */
export async function secureMember(folder: string, files: Certificates): Promise<FlagTexts> {
  const client = `https://${HOST}:${await freePort()}`;
  const peer = `https://${HOST}:${await freePort()}`;
  const path = (name: string): string => files.path(name);
  return {
    name: 'secure',
    'data-dir': join(folder, 'data'),
    'bcrypt-cost': '4',
    'listen-client-urls': client,
    'advertise-client-urls': client,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `secure=${peer}`,
    'cert-file': path('server.crt'),
    'key-file': path('server.key'),
    'client-cert-auth': 'true',
    'client-cert-file': path('client.crt'),
    'client-key-file': path('client.key'),
    'client-crl-file': path('crl'),
    'client-cert-allowed-hostname': 'other,localhost',
    'trusted-ca-file': path('ca.crt'),
    'peer-trusted-ca-file': path('ca.crt'),
    'peer-cert-file': path('peer.crt'),
    'peer-key-file': path('peer.key'),

    'peer-client-cert-auth': 'true',
    'peer-crl-file': path('crl'),
    'peer-cert-allowed-cn': 'other,peer',
    'peer-client-cert-file': path('peer.crt'),
    'peer-client-key-file': path('peer.key'),
    'peer-skip-client-san-verification': 'true',
    'cipher-suites': 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
    'tls-min-version': 'TLS1.2',
    'tls-max-version': 'TLS1.2',
  };
}

/** The flags of a member that makes its certificates itself. */
export async function selfSigned(folder: string): Promise<FlagTexts> {
  const client = `https://${HOST}:${await freePort()}`;
  const peer = `https://${HOST}:${await freePort()}`;
  return {
    name: 'own',
    'data-dir': join(folder, 'data'),
    'listen-client-urls': client,
    'advertise-client-urls': client,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `own=${peer}`,
    'auto-tls': 'true',
    'peer-auto-tls': 'true',
    'self-signed-cert-validity': '2',
  };
}

/** A discovery service that asks for a certificate and a login. */
export interface DiscoveryService {
  readonly url: string;
  readonly user: string;
  readonly password: string;
}

/** The flags of a member that finds its cluster, of itself alone, at a discovery service. */
export async function discovering(
  folder: string,
  files: Certificates,
  { service, token }: { service: DiscoveryService; token: string },
): Promise<FlagTexts> {
  const client = `http://${HOST}:${await freePort()}`;
  const peer = `https://${HOST}:${await freePort()}`;
  const path = (name: string): string => files.path(name);
  return {
    name: 'found',
    'data-dir': join(folder, 'data'),
    'listen-client-urls': client,
    'advertise-client-urls': client,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'peer-cert-file': path('peer.crt'),
    'peer-key-file': path('peer.key'),
    'peer-trusted-ca-file': path('ca.crt'),
    'peer-cert-allowed-hostname': 'localhost',
    'discovery-endpoints': service.url,
    'discovery-token': token,
    'discovery-fallback': 'exit',
    'discovery-dial-timeout': '3s',
    'discovery-request-timeout': '6s',
    'discovery-keepalive-time': '3s',
    'discovery-keepalive-timeout': '7s',
    'discovery-insecure-transport': 'false',
    'discovery-insecure-skip-tls-verify': 'true',
    'discovery-cert': path('client.crt'),
    'discovery-key': path('client.key'),
    'discovery-cacert': path('ca.crt'),
    'discovery-user': service.user,
    'discovery-password': service.password,
  };
}
