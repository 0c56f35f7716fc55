import { afterEach, describe, expect, it, vi } from 'vitest';
import { MemoryEngine } from '../storage/memory-engine.ts';
import { type EtcdError, errors } from '../wire/errors.ts';
import { Permission, PermissionType } from '../wire/gen/authpb.ts';
import { AuthUserAddRequest } from '../wire/gen/etcdserverpb.ts';
import { AuthStore } from './auth-store.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

/** Checks with very many permissions. */
export function manyPermissionsCases(count: number): void {
  describe(`with ${count} permissions`, () => {
    /** Steps of a binary search, plus a few other comparisons. */
    const few = Math.ceil(Math.log2(count)) + 4;
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
        for (let at = role; at < count; at += 10)
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
      for (let at = 0; at < count; at += 97) {
        const key = bytes(name(at));
        const [inside, outside, beyond] = ['3', '5', '7'].map((end) => bytes(name(at) + end));
        const put = (asked: Buffer = key): EtcdError | undefined => auth.checkPut(who, asked);
        const range = (end: Buffer = none): EtcdError | undefined => auth.checkRange(who, key, end);
        expect(comparisons(() => put(), undefined)).toBeLessThanOrEqual(few);
        expect(comparisons(() => put(inside), undefined)).toBeLessThanOrEqual(few);
        expect(comparisons(() => put(outside), errors.PermissionDenied)).toBeLessThanOrEqual(few);
        expect(comparisons(() => range(inside), undefined)).toBeLessThanOrEqual(few);
        expect(comparisons(() => range(beyond), errors.PermissionDenied)).toBeLessThanOrEqual(few);
        expect(comparisons(() => range(bytes('\0')), errors.PermissionDenied)).toBeLessThanOrEqual(few);
        // An inverted range is looked up in another structure, and as quickly.
        const inverted = comparisons(() => range(bytes(`key/${at}`)), undefined, errors.PermissionDenied);
        expect(inverted).toBeLessThanOrEqual(4 * few);
      }
      // After a change of users or roles, the first check merges them again.
      change();
      const now = { username: 'u', revision: auth.revision };
      expect(comparisons(() => auth.checkPut(now, bytes(name(5))), undefined)).toBeGreaterThan(count);
      expect(comparisons(() => auth.checkPut(now, bytes(name(6))), undefined)).toBeLessThanOrEqual(few);
    });
  });
}
