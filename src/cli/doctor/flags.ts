import type { Config } from '../../config/config.ts';
import { type Diagnosis, good, warning } from './diagnosis.ts';

/** The flags of a member, as far as they are known. */
export interface MemberFlags {
  /** Such as `member a (8e9e05c52164694d)`. */
  readonly subject: string;
  /** Without the program's name; undefined if they could not be read. */
  readonly args: readonly string[] | undefined;
  /** A string for the reason why the arguments are not understood. */
  readonly config: Config | string;
}

const LARGE_QUOTA_BYTES = 8 * 2 ** 30;
/** etcd warns above it. */
const LARGE_REQUEST_BYTES = 10 * 2 ** 20;
/** etcd recommends ten heartbeats and more per election. */
const MIN_HEARTBEATS = 5;

/** Names odd flags of each member, and flags that should be equal on all members and are not. */
export function judgeFlags(members: readonly MemberFlags[]): Diagnosis[] {
  return [...members.flatMap(judgeMember), ...differences(members)];
}

function judgeMember({ subject, args, config }: MemberFlags): Diagnosis[] {
  const name = `flags of ${subject}`;
  if (args === undefined || typeof config === 'string') {
    const reason = typeof config === 'string' ? config : 'unknown';
    return [warning(name, `cannot be read: ${reason}`, 'run the command on the machine of the member')];
  }
  const odd = oddFlags(config).map(([level, message, hint]) => ({ level, subject: name, message, hint }));
  return odd.length > 0 ? odd : [good(name, shownArgs(args))];
}

type Odd = readonly [level: 'warning' | 'problem', message: string, hint: string];

function oddFlags(config: Config): Odd[] {
  const { quotaBackendBytes: quota } = config;
  const odd: (Odd | false)[] = [
    config.unsafeNoFsync && [
      'problem',
      '--unsafe-no-fsync: a crash of the machine loses acknowledged data',
      'remove the flag',
    ],
    config.forceNewCluster && [
      'problem',
      '--force-new-cluster: the next start leaves the cluster',
      'remove the flag; it is for one start only',
    ],
    config.electionTimeoutMs < MIN_HEARTBEATS * config.heartbeatIntervalMs && [
      'problem',
      `--election-timeout ${config.electionTimeoutMs} is less than ${MIN_HEARTBEATS} heartbeats`,
      'set it to ten times --heartbeat-interval',
    ],
    !config.preVote && [
      'warning',
      '--pre-vote=false: a member that comes back from a partition disturbs the leader',
      'remove the flag',
    ],
    quota < 0 && [
      'warning',
      '--quota-backend-bytes: there is no quota',
      'set a quota below the free disk space',
    ],
    quota > LARGE_QUOTA_BYTES && [
      'warning',
      `--quota-backend-bytes is ${(quota / 2 ** 30).toFixed(1)} GiB`,
      'etcd supports up to 8 GiB: starts, snapshots and backups take longer',
    ],
    config.maxRequestBytes > LARGE_REQUEST_BYTES && [
      'warning',
      `--max-request-bytes is ${config.maxRequestBytes}`,
      'large requests delay all others; the default is 1.5 MiB',
    ],
    config.listenClientUrls.some(({ secure, host }) => !secure && !isLocal(host)) && [
      'warning',
      '--listen-client-urls serves clients without TLS',
      'use https URLs with --cert-file, --key-file, --trusted-ca-file and --client-cert-auth',
    ],
    config.listenPeerUrls.some(({ secure, host }) => !secure && !isLocal(host)) && [
      'warning',
      '--listen-peer-urls serves peers without TLS: any host that reaches it can change the data',
      'use https URLs with --peer-cert-file, --peer-key-file, --peer-trusted-ca-file and --peer-client-cert-auth',
    ],
    config.enablePprof && [
      'warning',
      '--enable-pprof: profiles can be read by any client',
      'remove the flag',
    ],
    config.log.level === 'debug' && [
      'warning',
      '--log-level=debug is slow and verbose',
      'use --log-level=info',
    ],
  ];
  return odd.filter((each) => each !== false);
}

function isLocal(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '' || host.startsWith('127.');
}

/** Passwords are not shown. */
function shownArgs(args: readonly string[]): string {
  if (args.length === 0) return 'all defaults';
  return args
    .map((arg, at) => {
      if (/^--?[\w-]*password=/.test(arg)) return arg.replace(/=.*/s, '=***');
      return /^--?[\w-]*password$/.test(args[at - 1] ?? '') ? '***' : arg;
    })
    .join(' ');
}

/** The settings that should be equal on all members. */
const shared: readonly (readonly [flag: string, read: (config: Config) => unknown])[] = [
  ['--heartbeat-interval', (config) => config.heartbeatIntervalMs],
  ['--election-timeout', (config) => config.electionTimeoutMs],
  ['--quota-backend-bytes', (config) => config.quotaBackendBytes],
  ['--max-request-bytes', (config) => config.maxRequestBytes],
  ['--max-txn-ops', (config) => config.maxTxnOps],
  ['--auth-token', (config) => config.authToken.split(',')[0]],
  [
    '--auto-compaction-mode and --auto-compaction-retention',
    (config) => JSON.stringify(config.autoCompaction),
  ],
  ['--pre-vote', (config) => config.preVote],
];

function differences(members: readonly MemberFlags[]): Diagnosis[] {
  const configs = members.flatMap(({ config }) => (typeof config === 'string' ? [] : [config]));
  return shared
    .filter(([, read]) => new Set(configs.map(read)).size > 1)
    .map(([flag, read]) =>
      warning(
        'flags',
        `${flag} differs between the members: ${members
          .flatMap(({ subject, config }) =>
            typeof config === 'string' ? [] : [`${String(read(config))} on ${subject}`],
          )
          .join(', ')}`,
        'use the same value on all members',
      ),
    );
}
