import {
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign as signBytes,
} from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type JWTHeaderParameters, SignJWT } from 'jose';
import { afterEach, describe, expect, it } from 'vitest';
import { AuthenticateRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { Auth } from '../../src/wire/services.ts';
import { missingPeers } from '../harness/paths.ts';
import { tempDir } from '../harness/temp-dir.ts';
import { AuthServer, kinds, outcome } from './auth-server.ts';

const missing = missingPeers('etcd');
const INVALID = '16 etcdserver: invalid auth token';
const OLD = '3 etcdserver: revision of auth store is old';
const DENIED = '7 etcdserver: permission denied';
const EMPTY = '3 etcdserver: user name is empty';

const directory = tempDir('jwt');
const running: AuthServer[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()));
});

interface Keys {
  readonly alg: string;
  readonly sign: KeyObject | Buffer;
  /** Options of `--auth-token` that name the files. */
  readonly both: string;
  readonly publicOnly: string;
  /** PEM; no secret. */
  readonly publicPem: string;
}

function file(name: string, content: string | Buffer): string {
  const path = join(directory, name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
}

function asymmetric(alg: string, pair: { publicKey: KeyObject; privateKey: KeyObject }): Keys {
  const publicPem = pair.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const publicFile = file(`${alg}.pub`, publicPem);
  const privateFile = file(`${alg}.key`, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const publicOnly = `jwt,sign-method=${alg},pub-key=${publicFile}`;
  return { alg, sign: pair.privateKey, both: `${publicOnly},priv-key=${privateFile}`, publicOnly, publicPem };
}

const secret = randomBytes(64);
const families: readonly Keys[] = [
  asymmetric('RS256', generateKeyPairSync('rsa', { modulusLength: 2048 })),
  asymmetric('PS384', generateKeyPairSync('rsa', { modulusLength: 2048 })),
  asymmetric('ES512', generateKeyPairSync('ec', { namedCurve: 'P-521' })),
  asymmetric('EdDSA', generateKeyPairSync('ed25519')),
  {
    alg: 'HS512',
    sign: secret,
    both: `jwt,sign-method=HS512,priv-key=${file('secret', secret)}`,
    publicOnly: '',
    publicPem: secret.toString('base64'),
  },
];

const encode = (part: unknown): string => Buffer.from(JSON.stringify(part)).toString('base64url');
const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;

/** Creates a token with a valid signature and any header and claims. */
function signed({ alg, sign }: Keys, claims: Record<string, unknown>, head: object = {}): Promise<string> {
  const header = { alg, typ: 'JWT', ...head } as JWTHeaderParameters;
  return new SignJWT(claims).setProtectedHeader(header).sign(sign);
}

/** With another method's signature, or none, or a made-up one. */
function forged(head: Record<string, unknown>, claims: unknown, signature: (text: string) => Buffer): string {
  const text = `${encode(head)}.${encode(claims)}`;
  return `${text}.${signature(text).toString('base64url')}`;
}

const hmac =
  (hash: string, key: string | Buffer) =>
  (text: string): Buffer =>
    createHmac(hash, key).update(text).digest();
const nothing = (): Buffer => Buffer.alloc(0);

/** Forged tokens of an attacker without the key, by name. */
async function forgeries(
  keys: Keys,
  good: string,
  claims: Record<string, unknown>,
): Promise<[string, string][]> {
  const { alg, publicPem } = keys;
  const [head = '', body = '', signature = ''] = good.split('.');
  const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const strangersKey = stranger.publicKey.export({ format: 'jwk' });
  const byStranger = (text: string): Buffer => signBytes('sha256', Buffer.from(text), stranger.privateKey);
  const des = createPublicKey(stranger.privateKey).export({ type: 'spki', format: 'der' });
  const others = families.filter((other) => other.alg !== alg);
  return [
    ...['none', 'None', 'NONE', 'nOnE', ''].map((none): [string, string] => [
      `alg ${none}`,
      forged({ alg: none, typ: 'JWT' }, claims, nothing),
    ]),
    ['no signature', `${head}.${body}.`],
    ['two parts', `${head}.${body}`],
    ['four parts', `${good}.${signature}`],
    ['alg none with the good signature', `${encode({ alg: 'none' })}.${body}.${signature}`],
    ['no alg', forged({ typ: 'JWT' }, claims, byStranger)],
    // The public key taken for a secret, as is and without its last line feed.
    ...(['HS256', 'HS384', 'HS512'] as const).flatMap((hs): [string, string][] =>
      [publicPem, publicPem.trim(), Buffer.from(publicPem, 'base64'), des, '', 'secret'].map((key, at) => [
        `${hs} with what is public (${at})`,
        alg === hs && Buffer.isBuffer(key) && key.equals(secret)
          ? 'x.y.z'
          : forged({ alg: hs, typ: 'JWT' }, claims, hmac(`sha${hs.slice(2)}`, key)),
      ]),
    ),
    ['another key of RSA', forged({ alg: 'RS256', typ: 'JWT' }, claims, byStranger)],
    ['another key under this method', forged({ alg, typ: 'JWT' }, claims, byStranger)],
    // Keys that the token brings along, and places where to fetch one.
    ['its own key', forged({ alg: 'RS256', jwk: strangersKey }, claims, byStranger)],
    [
      'a place for keys',
      forged({ alg: 'RS256', jku: 'http://127.0.0.1:1/keys', kid: '1' }, claims, byStranger),
    ],
    ['its own certificate', forged({ alg: 'RS256', x5c: [des.toString('base64')] }, claims, byStranger)],
    ...['../../../../dev/null', '/dev/null', "' OR 1=1 --", '0', 'x; sleep 9'].map(
      (kid): [string, string] => [
        `kid ${kid}`,
        forged({ alg: 'HS256', typ: 'JWT', kid }, claims, hmac('sha256', '')),
      ],
    ),
    ...(await Promise.all(
      others.map(async (other): Promise<[string, string]> => [other.alg, await signed(other, claims)]),
    )),
    [
      'other claims under the good signature',
      `${head}.${encode({ ...claims, username: 'root' })}.${signature}`,
    ],
    ['another head', `${encode({ alg, typ: 'JWT', kid: '1' })}.${body}.${signature}`],
    ['a cut signature', good.slice(0, -6)],
    ['a signature of zeros', forged({ alg, typ: 'JWT' }, claims, () => Buffer.alloc(132))],
    ['a padded one', `${good}=`],
    ['no JSON', `${Buffer.from('{').toString('base64url')}.${body}.${signature}`],
    ['a list of claims', forged({ alg, typ: 'JWT' }, [claims], byStranger)],
    // CVE-2025-30204: a token of nothing but separators.
    ['dots', '.'.repeat(6_000)],
    ['dots in front', `${'.'.repeat(6_000)}${good}`],
  ];
}

describe.skipIf(missing !== undefined).each(kinds)(`signed tokens of %s ${missing ?? ''}`, (kind) => {
  it.each(families)('$alg: tokens cannot be forged without the key', async (keys) => {
    const server = await AuthServer.start(kind, [`--auth-token=${keys.both},ttl=1h`]);
    running.push(server);
    await server.addRole('r');
    await server.grant('r', 'READWRITE', 'a');
    await server.addUser('alice', 'r');
    await server.enable();
    const good = await server.login('alice');
    expect(await server.put('a', good)).toBe('ok');
    expect(await server.get('a', good)).toBe('ok');
    const claims = JSON.parse(Buffer.from(good.split('.')[1] ?? '', 'base64url').toString()) as {
      username: string;
      revision: number;
      exp: number;
    };
    expect(Object.keys(claims).toSorted()).toEqual(['exp', 'revision', 'username']);
    const { revision } = claims;
    for (const [name, token] of await forgeries(keys, good, { ...claims }))
      expect(await server.put('a', token), name).toBe(INVALID);

    // Tokens with a valid signature: which claims are checked and which are not.
    const outcomes: [string, string, Record<string, unknown>, object?][] = [
      ['the same', 'ok', claims],
      ['no end', 'ok', { username: 'alice', revision }],
      ['a kid', 'ok', claims, { kid: '../../dev/null' }],
      ['another type', 'ok', claims, { typ: 'at+jwt' }],
      ['more claims', 'ok', { ...claims, iss: 'x', aud: 'y', sub: 'root', roles: ['root'] }],
      ['made in the future', 'ok', { ...claims, iat: inSeconds(500) }],
      ['expired', INVALID, { ...claims, exp: inSeconds(-2) }],
      ['expired long ago', INVALID, { ...claims, exp: 1 }],
      ['not yet', INVALID, { ...claims, nbf: inSeconds(500) }],
      ['an end that is no number', INVALID, { ...claims, exp: 'tomorrow' }],
      ['no user', INVALID, { revision, exp: inSeconds(500) }],
      ['no revision', INVALID, { username: 'alice', exp: inSeconds(500) }],
      ['a revision that is no number', INVALID, { ...claims, revision: String(revision) }],
      ['a user that is no text', INVALID, { ...claims, username: ['alice'] }],
      ['a user that does not exist', DENIED, { ...claims, username: 'nobody' }],
      ['an empty user', DENIED, { ...claims, username: '' }],
      ['an old revision', OLD, { ...claims, revision: revision - 1 }],
      ['revision 0', EMPTY, { ...claims, revision: 0 }],
      ['a revision to come', 'ok', { ...claims, revision: revision + 1000 }],
    ];
    for (const [name, expected, payload, head] of outcomes)
      expect(await server.put('a', await signed(keys, payload, head)), name).toBe(expected);
    // A read that does not pass through the log is answered at its own revision alone.
    const early = await signed(keys, { ...claims, revision: revision + 1000 });
    expect(await server.get('a', early)).toBe(OLD);

    // Replay: tokens from before a change of users or roles are invalid.
    const replay = async (change: () => Promise<void>): Promise<void> => {
      server.root = await server.login('root');
      const before = await server.login('alice');
      expect(await server.put('a', before)).toBe('ok');
      await change();
      expect(await server.put('a', before)).toBe(OLD);
      server.root = await server.login('root');
    };
    await replay(() => server.grant('r', 'READ', 'b'));
    await replay(() => server.changePassword('alice', 'alice'));
    await replay(async () => {
      await server.disable();
      expect(await server.put('a', good)).toBe('ok');
      await server.must(Auth.methods.authEnable, {}, '');
    });
    await replay(() => server.deleteUser('alice'));
  });

  it.each(families.slice(0, 3))('$alg: a member with only the public key verifies tokens', async (keys) => {
    const server = await AuthServer.start(kind, [`--auth-token=${keys.publicOnly}`]);
    running.push(server);
    await server.enable(false);
    const login = AuthenticateRequest.create({ name: 'root', password: 'root' });
    expect(outcome(await server.call(Auth.methods.authenticate, login, ''))).toBe(
      '2 auth: token signing attempted with verify-only key',
    );
    const claims = { username: 'root', revision: 4, exp: inSeconds(60) };
    expect(await server.put('a', await signed(keys, claims))).toBe('ok');
    expect(await server.put('a', await signed(keys, { ...claims, revision: 3 }))).toBe(OLD);
    const hs = forged({ alg: 'HS256', typ: 'JWT' }, claims, hmac('sha256', keys.publicPem));
    expect(await server.put('a', hs)).toBe(INVALID);
  });
});

// Go's library ignores the header field `crit`, which lists extensions that must be understood.
it('keystead refuses tokens with critical header fields', async () => {
  const [, , , , keys] = families;
  if (keys === undefined) throw new Error('there is a family with a secret');
  const server = await AuthServer.start('keystead', [`--auth-token=${keys.both}`]);
  running.push(server);
  await server.enable();
  const head = { alg: keys.alg, crit: ['more'], more: true };
  const claims = { username: 'root', revision: 4, exp: inSeconds(60) };
  expect(await server.put('a', forged({ alg: keys.alg }, claims, hmac('sha512', secret)))).toBe('ok');
  expect(await server.put('a', forged(head, claims, hmac('sha512', secret)))).toBe(INVALID);
});
