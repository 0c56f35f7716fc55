import { createHmac, type KeyObject, sign } from 'node:crypto';
import { eventually } from '../harness/wait.ts';
import {
  ctl,
  ctlOf,
  file,
  files,
  gatewayStep,
  keys,
  login,
  type Method,
  type Scenario,
  serverFlags,
  shutOut,
  type Stage,
  type Step,
  strangersKeys,
} from './etcdctl-tls-stage.ts';

const everyday: readonly Step[] = [
  ctl('alice', 'put k one', /^exit 0\nOK/),
  ctl('alice', 'get k -w json', /"kvs"/),
  ctl('alice', 'put k two --prev-kv', /one/),
  ctl('alice', 'txn', /SUCCESS/, { input: 'value("k") = "two"\n\nput k three\n\n\n' }),
  ctl('alice', 'del k --prev-kv', /three/),
  ctl('alice', 'endpoint health', /is healthy/),
  ctl('alice', 'endpoint status -w json', /"leader"/),
  ctl('alice', 'member list', /started/),
  ctl('alice', ['lock', 'locks', '--', 'echo', 'locked'], /locked/),
  ctlOf('alice', 'snapshot save', /Snapshot saved/, ({ session }) => [
    'snapshot',
    'save',
    session.file('saved.db'),
  ]),
  {
    title: 'alice: watch',
    expected: /PUT\nk\nlive/,
    run: async ({ session }) => {
      const program = session.etcdctl.start([...files.flags('alice'), 'watch', 'k']);
      try {
        // A watch prints nothing when it starts, so put until it has received an event.
        await eventually('an event', async () => {
          await session.etcdctl.ok([...files.flags('alice'), 'put', 'k', 'live']);
          program.mustBeAlive();
          return program.lines.length >= 3;
        });
      } finally {
        await program.stop('SIGINT');
      }
      await session.etcdctl.ok([...files.flags('alice'), 'put', 'k', 'one']);
      return program.lines.slice(0, 3).join('\n');
    },
  },
  ctl('alice', 'get k', /one/),
  {
    title: 'the files named by the environment',
    expected: /^exit 0\nk\none/,
    run: async ({ session }) => {
      const env = {
        ETCDCTL_CACERT: file('ca.crt'),
        ETCDCTL_CERT: file('alice.crt'),
        ETCDCTL_KEY: file('alice.key'),
      };
      return session.transcript(await session.etcdctl.run(['get', 'k'], { env }));
    },
  },
  ctl('alice', '--insecure-skip-tls-verify get k', /^exit 0/),
];

const keptOut: readonly Step[] = [
  shutOut('no certificate', [`--cacert=${file('ca.crt')}`]),
  shutOut('an expired certificate', files.flags('expired')),
  shutOut("another authority's certificate", files.flags('stranger')),
  shutOut('a certificate for servers only', files.flags('for-servers')),
  shutOut('a client that trusts another authority', files.flags('alice', 'stranger-ca.crt')),
  shutOut('plain text', [], ({ securePort }) => `http://127.0.0.1:${securePort}`),
  shutOut('a certificate with the key of another', [
    `--cacert=${file('ca.crt')}`,
    `--cert=${file('alice.crt')}`,
    `--key=${file('nobody.key')}`,
  ]),
];

const people = (alice: string): readonly Step[] => [
  ctl('root', 'user add root:rootpw', /User root created/),
  ctl('root', 'user grant-role root root', /granted/),
  ctl('root', alice, /User alice created/),
  ctl('root', 'user add ann:annpw', /User ann created/),
  ctl('root', 'role add reader', /created/),
  ctl('root', 'role grant-permission reader read k', /updated/),
  ctl('root', 'role grant-permission reader readwrite own/ --prefix', /updated/),
  ctl('root', 'user grant-role alice reader', /granted/),
  ctl('root', 'user grant-role ann reader', /granted/),
  ctl('root', 'put k one', /OK/),
  ctl('root', 'auth enable', /Authentication Enabled/),
];

const denied = /^exit 1[^]*permission denied/;

const asAnn = (flags: string, env: NodeJS.ProcessEnv): readonly Step[] => {
  const one = (args: string, expected: RegExp): Step =>
    ctl('nobody', `${flags} ${args}`.trim(), expected, { env });
  return [
    one('get k', /^exit 0\nk\none/),
    one('put own/1 x', /OK/),
    one('put k x', denied),
    one('get --prefix k', denied),
    one('user list', denied),
  ];
};

const passwords: readonly Step[] = [
  ...people('user add alice --no-password'),
  ...asAnn('--user=ann:annpw', {}),
  ...asAnn('--user=ann --password=annpw', {}),
  ...asAnn('', { ETCDCTL_USER: 'ann:annpw' }),
  ...asAnn('', { ETCDCTL_USER: 'ann', ETCDCTL_PASSWORD: 'annpw' }),
  ctl('nobody', 'get k', /^exit 1[^]*user name is empty/, { env: { ETCDCTL_PASSWORD: 'annpw' } }),
  ctl('nobody', '--user=ann:wrong get k', /^exit 2[^]*authentication failed, invalid user ID or password/),
  ctl(
    'nobody',
    '--user=missing:annpw get k',
    /^exit 2[^]*authentication failed, invalid user ID or password/,
  ),
  ctl('nobody', '--user=alice:any get k', /^exit 2[^]*authentication failed/),
  ctl('nobody', ['--user=ann:', 'get', 'k'], /^exit 1/),
  // Certificates authenticate a user only with --client-cert-auth.
  ctl('root', 'get k', /^exit 1[^]*user name is empty/),
  ctl('nobody', '--user=ann:annpw watch other', /permission denied/, { timeoutMs: 5_000 }),
  ctl('nobody', '--user=root:rootpw user passwd ann --interactive=false', /Password updated/, {
    input: 'new',
  }),
  ctl('nobody', '--user=ann:annpw get k', /^exit 2[^]*authentication failed/),
  ctl('nobody', '--user=ann:new get k', /^exit 0\nk\none/),
  ctl('nobody', '--user=root:rootpw user delete ann', /deleted/),
  ctl('nobody', '--user=ann:new get k', /^exit 2[^]*authentication failed/),
  ctl('nobody', '--user=root:rootpw auth disable', /Authentication Disabled/),
  ctl('nobody', 'get k', /^exit 0/),
];

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const nowSeconds = (): number => Math.floor(Date.now() / 1000);

/** The auth revision in the token of a login. */
function revisionOf(token: string): unknown {
  const claims = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString();
  return (JSON.parse(claims) as { revision: unknown }).revision;
}

interface Making {
  readonly alg?: string;
  readonly key: KeyObject | string;
  readonly claims?: Record<string, unknown>;
}

function makeToken(method: Method, { token }: Stage, { alg = method, key, claims = {} }: Making): string {
  const payload = { username: 'ann', revision: revisionOf(token), exp: nowSeconds() + 300, ...claims };
  const head = `${part({ alg, typ: 'JWT' })}.${part(payload)}`;
  if (alg === 'none') return `${head}.`;
  const signature =
    typeof key === 'string'
      ? createHmac('sha256', key).update(head).digest()
      : sign('sha256', Buffer.from(head), { key, dsaEncoding: 'ieee-p1363' });
  return `${head}.${signature.toString('base64url')}`;
}

const jwtGet = (title: string, expected: RegExp, token: (stage: Stage) => string): Step =>
  ctlOf('nobody', `get k with ${title}`, expected, (stage) => [
    `--auth-jwt-token=${token(stage)}`,
    'get',
    'k',
  ]);

const invalid = /^exit 1[^]*invalid auth token/;

function jwtSteps(method: Method, ttlSeconds: number): readonly Step[] {
  const { privateKey, publicKey } = keys[method];
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  return [
    ...people('user add alice --no-password'),
    ...asAnn('--user=ann:annpw', {}),
    ...asAnn('', { ETCDCTL_USER: 'ann:annpw' }),
    ctl('nobody', '--user=ann:wrong get k', /^exit 2[^]*authentication failed/),
    {
      title: 'a login gets a JSON web token',
      expected: new RegExp(`"alg":"${method}".*"username":"ann"`),
      run: async (stage) => {
        stage.token = await login(stage, 'ann', 'annpw');
        const [head = '', claims = ''] = stage.token.split('.');
        const read = (text: string): Record<string, unknown> =>
          JSON.parse(Buffer.from(text, 'base64url').toString()) as Record<string, unknown>;
        const { exp, ...rest } = read(claims);
        const left = Number(exp) - nowSeconds();
        const sorted = (value: Record<string, unknown>): unknown =>
          Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
        const lifetime = left > ttlSeconds - 3 && left <= ttlSeconds ? 'as asked' : `${left} s`;
        return `${JSON.stringify(sorted(read(head)))} ${JSON.stringify(sorted(rest))} lives ${lifetime}`;
      },
    },
    jwtGet('the token of a login', /^exit 0\nk\none/, ({ token }) => token),
    ctlOf('nobody', 'put k with the token of a login', denied, ({ token }) => [
      `--auth-jwt-token=${token}`,
      ...['put', 'k', 'x'],
    ]),
    jwtGet('a token made with the same key', /^exit 0/, (stage) =>
      makeToken(method, stage, { key: privateKey }),
    ),
    jwtGet('an expired token', invalid, (stage) =>
      makeToken(method, stage, { key: privateKey, claims: { exp: nowSeconds() - 5 } }),
    ),
    jwtGet('a token not valid yet', invalid, (stage) =>
      makeToken(method, stage, { key: privateKey, claims: { nbf: nowSeconds() + 300 } }),
    ),
    jwtGet("a token of another's key", invalid, (stage) =>
      makeToken(method, stage, { key: strangersKeys[method].privateKey }),
    ),
    jwtGet('a token without signature', invalid, (stage) =>
      makeToken(method, stage, { alg: 'none', key: '' }),
    ),
    jwtGet('the public key as the secret of HS256', invalid, (stage) =>
      makeToken(method, stage, { alg: 'HS256', key: pem }),
    ),
    jwtGet('a token by another method of the same key', invalid, (stage) =>
      makeToken(method, stage, { alg: method === 'RS256' ? 'RS384' : 'ES384', key: privateKey }),
    ),
    jwtGet('claims that were changed', invalid, ({ token }) => {
      const [head, , signature] = token.split('.');
      return `${head}.${part({ username: 'root', revision: revisionOf(token), exp: nowSeconds() + 300 })}.${signature}`;
    }),
    jwtGet('a token that names nobody', invalid, (stage) =>
      makeToken(method, stage, { key: privateKey, claims: { username: undefined } }),
    ),
    jwtGet('a token of a user who is not there', denied, (stage) =>
      makeToken(method, stage, { key: privateKey, claims: { username: 'missing' } }),
    ),
    jwtGet('a token of an earlier auth revision', /^exit 1[^]*revision of auth store is old/, (stage) =>
      makeToken(method, stage, { key: privateKey, claims: { revision: 1 } }),
    ),
    jwtGet('nonsense', invalid, () => 'a.b.c'),
    ctl('nobody', '--user=root:rootpw user passwd ann --interactive=false', /Password updated/, {
      input: 'new',
    }),
    {
      title: 'a token from before the password changed',
      expected: /^exit 1/,
      run: async (stage) => {
        const { session } = stage;
        const flags = [...files.flags('nobody'), `--auth-jwt-token=${stage.token}`];
        return session.transcript(await session.etcdctl.run([...flags, 'get', 'k']));
      },
    },
  ];
}

/** With tokens that live for three seconds. */
const lifetimes: readonly Step[] = [
  ...people('user add alice --no-password'),
  {
    title: 'a token works until its time is over',
    expected: invalid,
    run: async (stage) => {
      const { session } = stage;
      const token = await login(stage, 'ann', 'annpw');
      const args = [...files.flags('nobody'), `--auth-jwt-token=${token}`, 'get', 'k'];
      await session.etcdctl.ok(args);
      await eventually('its end', async () => (await session.etcdctl.run(args)).code !== 0, { everyMs: 250 });
      return session.transcript(await session.etcdctl.run(args));
    },
  },
  ctl('nobody', '--user=ann:annpw get k', /^exit 0/),
];

const commonNames: readonly Step[] = [
  ...people('user add alice --no-password'),
  ctl('root', 'user list', /^exit 0[^]*alice/),
  ctl('alice', 'get k', /^exit 0\nk\none/),
  ctl('alice', 'put own/1 x', /OK/),
  ctl('alice', 'put k x', denied),
  ctl('alice', ['get', '', '--prefix'], denied),
  ctl('alice', 'del k', denied),
  ctl('alice', 'user list', denied),
  ctl('alice', 'txn', denied, { input: '\n\nget k\nput k x\n\n\n' }),
  ctl('alice', 'watch other', /permission denied/, { timeoutMs: 5_000 }),
  ctl('nobody', 'get k', denied),
  ctl('nameless', 'get k', /^exit 1/),
  // A password takes precedence over the certificate.
  ctl('alice', '--user=root:rootpw put k one', /OK/),
  ctl('root', '--user=ann:annpw put k x', denied),
  ctl('alice', '--user=alice:any get k', /^exit 2[^]*authentication failed/),
  // A certificate is not used instead of an invalid token.
  ctl('alice', '--auth-jwt-token=nonsense get k', invalid),
  gatewayStep('alice', 'range', /^400 .*CommonName of client sending a request against gateway/),
  gatewayStep('root', 'range', /^400 .*CommonName of client sending a request against gateway/),
  gatewayStep('nameless', 'range', /^400 .*user name is empty/),
  gatewayStep('nameless', 'range with a token that is none', /^401 .*invalid auth token/, () => 'nonsense'),
  {
    title: 'nameless through the gateway: login as ann',
    expected: /token/,
    run: async (stage) => {
      stage.token = await login(stage, 'ann', 'annpw');
      return 'a token';
    },
  },
  gatewayStep('nameless', 'range with a token of ann', /^200 .*"kvs"/, ({ token }) => token),
  gatewayStep('alice', 'range with a token of ann', /^400 .*CommonName/, ({ token }) => token),
  ctl('root', 'role revoke-permission reader k', /revoked/),
  ctl('alice', 'get k', denied),
  ctl('root', 'role grant-permission reader readwrite k', /updated/),
  ctl('alice', 'put k two', /OK/),
  ctl('root', 'user delete alice', /deleted/),
  ctl('alice', 'get k', denied),
  ctl('root', 'auth disable', /Authentication Disabled/),
  ctl('alice', 'put k three', /OK/),
  gatewayStep('alice', 'range without authentication', /^200 .*"kvs"/),
];

const jwt = (method: Method, ttl: string): string[] => [
  ...serverFlags,
  `--auth-token=jwt,pub-key=${file(`${method}.pub`)},priv-key=${file(`${method}.key`)},sign-method=${method},ttl=${ttl}`,
];

export const scenarios: readonly Scenario[] = [
  {
    title: 'mutual TLS, then passwords',
    flags: serverFlags,
    steps: [...everyday, ...keptOut, ...passwords],
  },
  { title: 'JSON web tokens signed with RSA', flags: jwt('RS256', '10m'), steps: jwtSteps('RS256', 600) },
  { title: 'JSON web tokens signed on a curve', flags: jwt('ES256', '10m'), steps: jwtSteps('ES256', 600) },
  { title: 'JSON web tokens that expire', flags: jwt('ES256', '3s'), steps: lifetimes },
  {
    title: 'common names of certificates',
    flags: [...serverFlags, '--client-cert-auth'],
    steps: commonNames,
  },
];
