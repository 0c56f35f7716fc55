import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { JwtTokens } from './jwt-tokens.ts';
import { parseTokenOptions, type SignMethod } from './token-options.ts';

let directory: string;
let now = Date.now();
const clock = { now: () => now, wall: () => now };
beforeAll(() => (directory = mkdtempSync(join(tmpdir(), 'keystead-jwt-'))));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
beforeEach(() => (now = Date.now()));

function file(name: string, content: string | Buffer): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

interface KeyFiles {
  readonly privateKey: KeyObject;
  readonly publicFile: string;
  readonly privateFile: string;
}

function keyFiles(name: string, pair: { publicKey: KeyObject; privateKey: KeyObject }): KeyFiles {
  return {
    privateKey: pair.privateKey,
    publicFile: file(`${name}.pub`, pair.publicKey.export({ type: 'spki', format: 'pem' })),
    privateFile: file(`${name}.key`, pair.privateKey.export({ type: 'pkcs8', format: 'pem' })),
  };
}

/** One pair for all methods: a new one takes up to half a second. */
let rsaFiles: KeyFiles | undefined;
const rsa = (): KeyFiles =>
  (rsaFiles ??= keyFiles('rsa', generateKeyPairSync('rsa', { modulusLength: 2048 })));
const ec = (namedCurve: string): KeyFiles => keyFiles(namedCurve, generateKeyPairSync('ec', { namedCurve }));

function open(text: string): JwtTokens {
  const options = parseTokenOptions(text);
  if (options.kind !== 'jwt') throw new Error(options.kind);
  return new JwtTokens(options.jwt, clock);
}

const fault = (text: string): string => {
  try {
    open(text);
  } catch (error) {
    return error instanceof Error ? error.message.replaceAll(directory, '') : '';
  }
  return 'opened';
};

function encode(part: unknown): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}

it.each<[SignMethod, () => KeyFiles]>([
  ['RS256', rsa],
  ['RS384', rsa],
  ['RS512', rsa],
  ['PS256', rsa],
  ['PS384', rsa],
  ['PS512', rsa],
  ['ES256', () => ec('P-256')],
  ['ES384', () => ec('P-384')],
  ['ES512', () => ec('P-521')],
  ['EdDSA', () => keyFiles('ed', generateKeyPairSync('ed25519'))],
])('%s signs with the private and verifies with the public key', async (method, make) => {
  const { publicFile, privateFile } = make();
  const signer = open(`jwt,sign-method=${method},priv-key=${privateFile},pub-key=${publicFile},ttl=10m`);
  const verifier = open(`jwt,pub-key=${publicFile},sign-method=${method}`);
  const token = await signer.sign('alice', 7);
  const payload: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  expect(payload).toEqual({ username: 'alice', revision: 7, exp: Math.floor(now / 1000) + 600 });
  for (const tokens of [signer, verifier]) {
    expect(await tokens.identify(token)).toEqual({ username: 'alice', revision: 7 });
    // The result is remembered, so no promise is returned.
    expect(tokens.identify(token)).toEqual({ username: 'alice', revision: 7 });
    expect(await tokens.identify(`${token}x`)).toBeUndefined();
  }
  await expect(verifier.sign('alice', 7)).rejects.toThrow(
    'auth: token signing attempted with verify-only key',
  );
});

describe('HS256', () => {
  const secret = 'a secret of some length, long enough for anybody';

  function hs256(): JwtTokens {
    return open(`jwt,sign-method=HS256,priv-key=${file('secret', secret)}`);
  }

  function signed(head: unknown, payload: unknown, key = secret, hash = 'sha256'): string {
    const text = `${encode(head)}.${encode(payload)}`;
    return `${text}.${createHmac(hash, key).update(text).digest('base64url')}`;
  }

  it('signs and verifies', async () => {
    const token = await hs256().sign('bob', 1);
    expect(await hs256().identify(token)).toEqual({ username: 'bob', revision: 1 });
  });

  it('accepts tokens that other members sign, and no others', async () => {
    const tokens = hs256();
    const head = { alg: 'HS256', typ: 'JWT' };
    const claims = { username: 'bob', revision: 3, exp: Math.floor(now / 1000) + 100 };
    expect(await tokens.identify(signed(head, claims))).toEqual({ username: 'bob', revision: 3 });
    expect(await tokens.identify(signed(head, { username: 'bob', revision: 3 }))).toBeDefined();
    const { username, revision, exp } = claims;
    for (const token of [
      '',
      'a.b.c',
      signed(head, claims, 'another secret'),
      signed(head, { revision, exp }),
      signed(head, { username, exp }),
      signed(head, { username, exp, revision: '3' }),
      signed(head, { username, exp, revision: -1 }),
      signed(head, { username: 7, exp, revision }),
      signed(head, { ...claims, exp: exp - 101 }),
      signed(head, { ...claims, nbf: exp }),
      // Other methods of the same family, and `none`.
      signed({ alg: 'HS512' }, claims, secret, 'sha512'),
      `${encode({ alg: 'none' })}.${encode(claims)}.`,
      `${encode({ alg: 'None' })}.${encode(claims)}.`,
      `${encode({ alg: 'none' })}.${encode(claims)}.${signed(head, claims).split('.')[2] ?? ''}`,
      `${encode(head)}.${encode(claims)}.`,
      `${encode(head)}.${encode(claims)}`,
    ])
      expect(await tokens.identify(token), token).toBeUndefined();
  });

  it('an expired token is refused even if it is remembered', async () => {
    const tokens = open(`jwt,sign-method=HS256,priv-key=${file('secret', secret)},ttl=2s`);
    const token = await tokens.sign('bob', 1);
    expect(await tokens.identify(token)).toBeDefined();
    now += 3_000;
    expect(await tokens.identify(token)).toBeUndefined();
    expect(await tokens.identify(token)).toBeUndefined();
  });
});

it('a public key is not accepted as a shared secret', async () => {
  const { publicFile, privateFile, privateKey } = rsa();
  const tokens = open(`jwt,sign-method=RS256,priv-key=${privateFile},pub-key=${publicFile}`);
  const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ username: 'root', revision: 1 })}`;
  const { readFileSync } = await import('node:fs');
  const forged = createHmac('sha256', readFileSync(publicFile)).update(text).digest('base64url');
  expect(await tokens.identify(`${text}.${forged}`)).toBeUndefined();
  const other = await new SignJWT({ username: 'root', revision: 1 })
    .setProtectedHeader({ alg: 'PS256' })
    .sign(privateKey);
  expect(await tokens.identify(other)).toBeUndefined();
});

it('invalid options and keys are refused', () => {
  const { publicFile, privateFile } = rsa();
  const otherPublic = file(
    'other.pub',
    generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ type: 'spki', format: 'pem' }),
  );
  expect(fault('jwt')).toBe('auth: invalid auth options: there is no signing method ""');
  expect(fault('jwt,sign-method=RS999')).toMatch(/no signing method "RS999"/);
  expect(fault('jwt,sign-method=none')).toBe('unsupported signing method: none');
  expect(fault('jwt,sign-method')).toMatch(/not of the form/);
  expect(fault('jwt,ttl=1m,ttl=2m')).toMatch(/given twice/);
  expect(fault('jwt,sign-method=RS256,ttl=soon')).toMatch(/no duration/);
  expect(fault('jwt,sign-method=RS256')).toMatch(/^auth: missing key data/);
  expect(fault('jwt,sign-method=HS256')).toMatch(/^auth: missing key data/);
  expect(fault('jwt,sign-method=RS256,pub-key=/gone')).toMatch(/pub-key: ENOENT/);
  expect(fault(`jwt,sign-method=RS256,priv-key=${file('bad', 'bad')}`)).toMatch(
    /^auth: invalid key in \/bad/,
  );
  expect(fault(`jwt,sign-method=ES256,priv-key=${privateFile}`)).toMatch(/\/rsa.key is of type rsa/);
  expect(fault(`jwt,sign-method=ES256,priv-key=${ec('P-384').privateFile}`)).toMatch(/ec \(secp384r1\)/);
  expect(fault(`jwt,sign-method=RS256,priv-key=${privateFile},pub-key=${otherPublic}`)).toMatch(
    /don't match/,
  );
  expect(fault(`jwt,sign-method=RS256,pub-key=${publicFile},more=1`)).toBe('opened');
  expect(() => parseTokenOptions('bogus')).toThrow('auth: invalid auth options');
  expect(parseTokenOptions('simple')).toEqual({ kind: 'simple' });
  expect(parseTokenOptions('')).toEqual({ kind: 'none' });
});
