import { command, commandOf, untilLines, type Step } from './harness/session.ts';
import { eventually } from './harness/wait.ts';

const formats = ['simple', 'json', 'fields', 'table'] as const;

const endpointBeforeData: Step[] = [
  command('endpoint health'),
  ...formats.map((format) => command(`endpoint status --write-out=${format}`)),
  command('endpoint health --write-out=table'),
  command('endpoint hashkv --write-out=json'),
  ...formats.map((format) => command(`member list --write-out=${format}`)),
  command('version'),
];

const putAndGet: Step[] = [
  command('get nothing'),
  command('put a 1'),
  command('put a 2'),
  command('put a 3 --prev-kv'),
  command(['put', 'b', 'a value with spaces']),
  command('put c', { input: 'from standard input' }),
  command('put b --ignore-value --prev-kv'),
  command('put missing --ignore-value'),
  command('put missing x --ignore-lease'),
  command('put a x --lease=1234'),
  command(['put', '', 'no key']),
  command('put a'),
  command('put'),
  ...formats.map((format) => command(`get a --write-out=${format}`)),
  command('get a --hex'),
  command('get a --print-value-only'),
  command('get --prefix --keys-only'),
  command(['get', '', '--prefix']),
  command(['get', '', '--from-key', '--limit=2']),
  command('get a c'),
  command('get b --from-key'),
  command('get a z --count-only --write-out=fields'),
  command('get a z --count-only'),
  command('get a z --limit=1 --write-out=json'),
  command('get a z --limit=1 --count-only --write-out=json'),
  command('get a --rev=3 --write-out=json'),
  command('get a --rev=4 --consistency=s --write-out=json'),
  command('get a --rev=1 --write-out=json'),
  command('get a --rev=1000'),
  command('get a --rev=-1'),
  ...['CREATE', 'KEY', 'MODIFY', 'VALUE', 'VERSION'].flatMap((target) =>
    ['ASCEND', 'DESCEND'].map((order) => command(`get a z --sort-by=${target} --order=${order}`)),
  ),
  command('get a z --sort-by=VERSION --order=DESCEND --limit=1 --write-out=json'),
  command('get a z --min-mod-rev=5 --write-out=json'),
  command('get a z --max-mod-rev=4 --write-out=json'),
  command('get a z --min-create-rev=3 --max-create-rev=5 --write-out=json'),
  command('get a b c'),
  command('get a --write-out=nonsense'),
  command('endpoint hashkv --write-out=json'),
  command('endpoint hashkv --rev=4 --write-out=table'),
];

const removal: Step[] = [
  command('put d/1 1'),
  command('put d/2 2'),
  command('put d/3 3'),
  command('put d/4 4'),
  command('del d/1'),
  command('del d/1'),
  command('del d/2 --prev-kv --write-out=json'),
  command('del d/ --prefix --prev-kv'),
  command('del z y --range'),
  command('put d/5 5'),
  command('del d/ e --range'),
  command('put zz 1'),
  command('del z --from-key --write-out=fields'),
  command(['del', '']),
];

const transactions: Step[] = [
  command('txn', { input: 'value("a") = "3"\n\nput a 4\nget a\n\nget a\n\n' }),
  command('txn', { input: 'value("a") = "3"\n\nput a 5\n\nget a\nget b\ndel c\n\n' }),
  command('txn --write-out=json', {
    input:
      'mod("a") > "0"\nversion("b") < "100"\ncreate("c") = "0"\n\nput c again\ndel b --prev-kv\nget a z\n\n\n',
  }),
  command('txn', { input: '\nput same 1\nput same 2\n\n\n' }),
  command('txn', { input: '\n\nput t1 1\nput t2 2\n\n\n' }),
  command('txn', { input: '\nput t1 1\nput t2 2\n\n\n' }),
  command('txn', { input: 'nonsense("a") = "0"\n\nput t1 1\n\n\n' }),
  command('txn --interactive', { input: 'value("t1") = "1"\n\nget t1\n\nget t2\n\n' }),
  command('get t --prefix --write-out=json'),
  command('endpoint hashkv --write-out=json'),
];

const watches: Step[] = [
  untilLines('watch a --rev=1', 9),
  untilLines('watch --prefix d/ --rev=1 --prev-kv', 20),
  untilLines('watch a c --rev=1 --write-out=json', 1),
  untilLines('watch t --prefix --rev=1 --write-out=fields', 10),
  untilLines('watch w --rev=1', 6, async ({ etcdctl }) => {
    await etcdctl.ok(['put', 'w', 'live 1']);
    await etcdctl.ok(['del', 'w']);
  }),
  untilLines('watch w2 --rev=1 -- echo changed', 4, async ({ etcdctl }) => {
    await etcdctl.ok(['put', 'w2', 'live']);
  }),
];

const leases: Step[] = [
  command('lease list'),
  command('lease grant 300'),
  commandOf('lease timetolive', (s) => ['lease', 'timetolive', s.lease(0)]),
  commandOf('put with a lease', (s) => ['put', 'l/1', 'x', `--lease=${s.lease(0)}`]),
  commandOf('put another with the lease', (s) => ['put', 'l/2', 'y', `--lease=${s.lease(0)}`]),
  commandOf('lease timetolive --keys', (s) => ['lease', 'timetolive', s.lease(0), '--keys']),
  commandOf('lease timetolive --keys in JSON', (s) => [
    'lease',
    'timetolive',
    s.lease(0),
    '--keys',
    '--write-out=json',
  ]),
  commandOf('lease keep-alive --once', (s) => ['lease', 'keep-alive', '--once', s.lease(0)]),
  command('get l/ --prefix --write-out=fields'),
  command('put l/2 z --ignore-lease'),
  commandOf('get shows the kept lease', () => ['get', 'l/2', '--write-out=json']),
  command('put l/2 z'),
  commandOf('only one key is left on the lease', (s) => ['lease', 'timetolive', s.lease(0), '--keys']),
  ...formats.map((format) => command(`lease list --write-out=${format}`)),
  commandOf('lease revoke', (s) => ['lease', 'revoke', s.lease(0)]),
  commandOf('lease revoke again', (s) => ['lease', 'revoke', s.lease(0)]),
  commandOf('lease timetolive of a revoked lease', (s) => ['lease', 'timetolive', s.lease(0)]),
  commandOf('lease keep-alive --once of a revoked lease', (s) => [
    'lease',
    'keep-alive',
    '--once',
    s.lease(0),
  ]),
  command('get l/ --prefix'),
  command('lease grant -- -1'),
  command('lease grant 9000000001'),
  command('lease grant nonsense'),
  command('lease grant 1'),
  commandOf('put with a short lease', (s) => ['put', 'short', 'x', `--lease=${s.lease(1)}`]),
  {
    title: 'the short lease expires and takes its key along',
    run: async ({ etcdctl }) =>
      eventually('expiry', async () => {
        const found = await etcdctl.ok(['get', 'short', '--write-out=json']);
        return found.includes('"kvs"') ? undefined : found;
      }),
  },
];

const concurrency: Step[] = [
  command(['lock', 'locks', '--', 'sh', '-c', 'echo $ETCD_LOCK_KEY $ETCD_LOCK_REV']),
  command('lock locks false'),
  untilLines('lock locks', 1),
  untilLines('elect posts me', 2),
  untilLines('elect posts somebody', 2, async (session) => {
    const observer = session.etcdctl.start(['elect', '--listen', 'posts']);
    await observer.sees('somebody', { timeoutMs: 10_000 });
    await observer.stop('SIGINT');
  }),
  command('get locks --prefix'),
  command('get posts --prefix'),
];

const maintenance: Step[] = [
  command('alarm list'),
  command('alarm disarm'),
  command('compaction 1000000'),
  command('compaction 10'),
  command('compaction 10'),
  command('compaction 5'),
  command('compaction 12 --physical'),
  command('compaction nonsense'),
  command('get a --rev=5'),
  command('get a --rev=12'),
  command('watch a --rev=3'),
  command('defrag'),
  command('get a z --write-out=fields'),
  command('endpoint hashkv --rev=12'),
  command('move-leader 1234'),
  command('downgrade validate 3.6'),
  command('downgrade validate 3.5'),
  command('downgrade validate nonsense'),
  command('downgrade cancel'),
  command('member remove 1234'),
  command('member promote 1234'),
  command('member update 1234 --peer-urls=http://127.0.0.1:1'),
  {
    title: 'snapshot save, then etcdutl snapshot status',
    run: async (session) => {
      const path = session.file('saved.db');
      const saved = session.normalise(await session.etcdctl.ok(['snapshot', 'save', path]));
      const status = await session.etcdutl('snapshot', 'status', path, '--write-out=json');
      // The hash covers the file, and the key count includes etcd's own buckets. Both depend on the file.
      return saved + status.replaceAll(/"(hash|totalKey|totalSize)":\d+/g, '"$1":<number>');
    },
  },
  {
    title: 'make-mirror to another prefix',
    run: async ({ etcdctl, member }) => {
      await etcdctl.ok(['put', 'mirror/1', 'one']);
      const mirror = etcdctl.start([
        'make-mirror',
        '--prefix=mirror/',
        '--dest-prefix=copy/',
        member.endpoint,
      ]);
      await eventually('the copy', async () => (await etcdctl.ok(['get', 'copy/1'])).includes('one'));
      await etcdctl.ok(['put', 'mirror/2', 'two']);
      await eventually('the second copy', async () => (await etcdctl.ok(['get', 'copy/2'])).includes('two'));
      await mirror.stop('SIGINT');
      return etcdctl.ok(['get', 'copy/', '--prefix']);
    },
  },
];

const authentication: Step[] = [
  command('auth status'),
  command('auth enable'),
  command('role add reader'),
  command('role add reader'),
  command('role grant-permission reader read a'),
  command('role grant-permission reader readwrite own/ --prefix'),
  command('role get reader'),
  command('role get missing'),
  command('role list'),
  command('user add root:root-secret'),
  command('user add ann:ann-secret'),
  command('user add ann:ann-secret'),
  command('user add nobody --no-password'),
  command('user grant-role ann reader'),
  command('user grant-role ann missing'),
  command('user grant-role root root'),
  command('user get ann'),
  command('user get ann --detail'),
  command('user list'),
  command('auth enable'),
  command('get a'),
  command('--user=ann:wrong get a'),
  command('--user=ann:ann-secret get a'),
  command('--user=ann:ann-secret get b'),
  command('--user=ann:ann-secret put a x'),
  command('--user=ann:ann-secret put own/1 x'),
  command('--user=ann:ann-secret get own/ --prefix'),
  command('--user=ann:ann-secret user list'),
  command('--user=root:root-secret auth status'),
  command('--user=root:root-secret put anything x'),
  command('--user=root:root-secret user passwd ann --interactive=false', { input: 'new-secret' }),
  command('--user=ann:new-secret get a'),
  command('--user=root:root-secret role revoke-permission reader a'),
  command('--user=ann:new-secret get a'),
  command('--user=root:root-secret user revoke-role ann reader'),
  command('--user=root:root-secret user delete ann'),
  command('--user=root:root-secret role delete reader'),
  command('--user=root:root-secret user delete root'),
  command('--user=root:root-secret auth disable'),
  command('auth status'),
  command('get a'),
];

/** A session with all etcdctl commands that work with one member. Each command uses the results of earlier ones. */
export const chapters: { title: string; steps: Step[] }[] = [
  { title: 'a new member', steps: endpointBeforeData },
  { title: 'put and get', steps: putAndGet },
  { title: 'del', steps: removal },
  { title: 'txn', steps: transactions },
  { title: 'watch', steps: watches },
  { title: 'lease', steps: leases },
  { title: 'lock and elect', steps: concurrency },
  { title: 'maintenance', steps: maintenance },
  { title: 'users, roles and authentication', steps: authentication },
];
