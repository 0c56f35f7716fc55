import { afterEach, describe, expect, it, vi } from 'vitest';
import { MemoryEngine } from '../storage/memory-engine.ts';
import { Permission, PermissionType } from '../wire/gen/authpb.ts';
import { AuthUserAddRequest } from '../wire/gen/etcdserverpb.ts';
import { type EtcdError, errors } from '../wire/errors.ts';
import { AuthStore } from './auth-store.ts';
import { isValidPermissionRange, Permissions } from './permissions.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

function granted(...ranges: readonly (readonly [string, string])[]): Permissions {
  const permissions = new Permissions();
  for (const [key, rangeEnd] of ranges)
    permissions.add(
      Permission.create({ permType: PermissionType.READ, key: bytes(key), rangeEnd: bytes(rangeEnd) }),
    );
  return permissions;
}

describe('valid ranges of permissions', () => {
  it.each([
    ['', '', false],
    ['', 'b', false],
    ['', '\0', false],
    ['\0', '', true],
    ['\0', '\0', true],
    ['a', '', true],
    ['a', 'a', false],
    ['a', 'a\0', true],
    ['b', 'a', false],
    ['b', '\0', true],
    ['b', '\0\0', false],
    ['\xff', '\xff', false],
    ['\xff', '\xff\0', true],
    ['\xff', '\0', true],
  ])('%j to %j: %j', (key, rangeEnd, isValid) => {
    expect(isValidPermissionRange(bytes(key), bytes(rangeEnd))).toBe(isValid);
  });
});

describe('at the limits of permitted ranges', () => {
  const one = granted(['b', '']);
  const zero = granted(['\0', '']);
  const prefix = granted(['b', 'c']);
  const open = granted(['b', '\0']);
  const all = granted(['\0', '\0']);
  const last = granted(['\xff', '\0']);
  const lastKey = granted(['\xff', '']);
  const joined = granted(['b', 'c'], ['c', 'd'], ['d', '']);
  const gap = granted(['b', 'c'], ['c\0', 'd']);

  it.each<[string, Permissions, string, string, boolean]>([
    ['one key', one, 'b', '', true],
    ['one key', one, 'b\0', '', false],
    ['one key', one, 'a\xff', '', false],
    ['one key', one, '', '', false],
    ['one key', one, 'b', 'b\0', true],
    ['one key', one, 'b', 'c', false],
    ['one key', one, 'b', '\0', false],
    ['one key', one, '\0', '\0', false],
    ['one key', one, 'b', 'b', true],
    ['the smallest key', zero, '\0', '', true],
    ['the smallest key', zero, '\0\0', '', false],
    ['the smallest key', zero, '\0', '\0', false],
    ['the smallest key', zero, '', '\0', false],
    ['the smallest key', zero, '', '', false],
    ['a prefix', prefix, 'b', 'c', true],
    ['a prefix', prefix, 'b\xff\xff', '', true],
    ['a prefix', prefix, 'c', '', false],
    ['a prefix', prefix, 'b', 'c\0', false],
    ['a prefix', prefix, 'a\xff', 'c', false],
    ['a prefix', prefix, 'b', '\0', false],
    ['an open end', open, 'b', '\0', true],
    ['an open end', open, 'b', 'c', true],
    ['an open end', open, '\xff\xff', '\0', true],
    ['an open end', open, 'a', '\0', false],
    ['an open end', open, 'a\xff', '', false],
    ['an open end', open, '\0', '\0', false],
    ['everything', all, '\0', '\0', true],
    ['everything', all, '\0', '', true],
    ['everything', all, 'a', 'b', true],
    // An empty key is never permitted; the interval begins at the smallest key.
    ['everything', all, '', '', false],
    ['everything', all, '', '\0', false],
    ['the last prefix', last, '\xff', '\0', true],
    ['the last prefix', last, '\xff\xff\xff', '', true],
    ['the last prefix', last, '\xfe\xff', '', false],
    ['the last prefix', last, '\xfe', '\0', false],
    ['the last byte', lastKey, '\xff', '', true],
    ['the last byte', lastKey, '\xff', '\0', false],
    ['the last byte', lastKey, '\xff\0', '', false],
    ['touching ranges', joined, 'b', 'd\0', true],
    ['touching ranges', joined, 'b', 'd\x01', false],
    ['touching ranges', joined, 'b\xff', 'c\x01', true],
    ['ranges with a key between them', gap, 'b', 'd', false],
    ['ranges with a key between them', gap, 'c', '', false],
    ['ranges with a key between them', gap, 'c\0', '', true],
    ['nothing', granted(), '\0', '', false],
    ['nothing', granted(), '\0', '\0', false],
  ])('%s (%#)', (_what, permissions, key, rangeEnd, isAllowed) => {
    expect(permissions.mayRead(bytes(key), bytes(rangeEnd))).toBe(isAllowed);
    expect(permissions.mayWrite(bytes(key), bytes(rangeEnd))).toBe(false);
  });
});

describe('with 10,000 permissions', () => {
  const COUNT = 10_000;
  /** Steps of a binary search, plus a few other comparisons. */
  const FEW = Math.ceil(Math.log2(COUNT)) + 4;
  const name = (at: number): string => `key/${String(at).padStart(6, '0')}`;

  function manyPermissions(): { auth: AuthStore; change: () => void } {
    const auth = new AuthStore({ engine: new MemoryEngine() });
    const user = (name: string): void => {
      auth.addUser(AuthUserAddRequest.create({ name, hashedPassword: 'eA==' }));
    };
    user('root');
    user('u');
    auth.grantRole({ user: 'root', role: 'root' });
    // Ten roles whose ranges do not touch each other.
    for (let role = 0; role < 10; role++) {
      auth.addRole(`r${role}`);
      auth.grantRole({ user: 'u', role: `r${role}` });
      for (let at = role; at < COUNT; at += 10)
        auth.grantPermission({
          name: `r${role}`,
          perm: Permission.create({
            permType: PermissionType.READWRITE,
            key: bytes(name(at)),
            rangeEnd: bytes(`${name(at)}5`),
          }),
        });
    }
    auth.enable();
    return { auth, change: () => user('another') };
  }

  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('a check needs as many comparisons as a binary search, and permissions are not merged again', () => {
    const { auth, change } = manyPermissions();
    const who = { username: 'u', revision: auth.revision };
    const none = Buffer.alloc(0);
    expect(auth.checkPut(who, bytes(name(0)))).toBeUndefined();
    expect(auth.checkRange(who, bytes(name(0)), none)).toBeUndefined();
    expect(auth.checkRange(who, bytes(name(1)), bytes(name(0)))).toBeUndefined();
    const comparing = vi.spyOn(Buffer, 'compare');
    const comparisons = (check: () => unknown, ...expected: unknown[]): number => {
      comparing.mockClear();
      expect(expected).toContain(check());
      return comparing.mock.calls.length;
    };
    for (let at = 0; at < COUNT; at += 97) {
      const key = bytes(name(at));
      const [inside, outside, beyond] = ['3', '5', '7'].map((end) => bytes(name(at) + end));
      const put = (asked: Buffer = key): EtcdError | undefined => auth.checkPut(who, asked);
      const range = (end: Buffer = none): EtcdError | undefined => auth.checkRange(who, key, end);
      expect(comparisons(() => put(), undefined)).toBeLessThanOrEqual(FEW);
      expect(comparisons(() => put(inside), undefined)).toBeLessThanOrEqual(FEW);
      expect(comparisons(() => put(outside), errors.PermissionDenied)).toBeLessThanOrEqual(FEW);
      expect(comparisons(() => range(inside), undefined)).toBeLessThanOrEqual(FEW);
      expect(comparisons(() => range(beyond), errors.PermissionDenied)).toBeLessThanOrEqual(FEW);
      expect(comparisons(() => range(bytes('\0')), errors.PermissionDenied)).toBeLessThanOrEqual(FEW);
      // An inverted range is looked up in another structure, and as quickly.
      const inverted = comparisons(() => range(bytes(`key/${at}`)), undefined, errors.PermissionDenied);
      expect(inverted).toBeLessThanOrEqual(4 * FEW);
    }
    // After a change of users or roles, the first check merges them again.
    change();
    const now = { username: 'u', revision: auth.revision };
    expect(comparisons(() => auth.checkPut(now, bytes(name(5))), undefined)).toBeGreaterThan(COUNT);
    expect(comparisons(() => auth.checkPut(now, bytes(name(6))), undefined)).toBeLessThanOrEqual(FEW);
  });
});
