import { expect, it } from 'vitest';
import { MemoryEngine } from '../storage/memory-engine.ts';
import { Permission, PermissionType } from '../wire/gen/authpb.ts';
import { AuthUserAddRequest } from '../wire/gen/etcdserverpb.ts';
import { AuthStore } from './auth-store.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

it('permissions are checked quickly when there are thousands', () => {
  const auth = new AuthStore({ engine: new MemoryEngine() });
  const hashedPassword = Buffer.from('not really a hash').toString('base64');
  for (const name of ['u', 'root']) auth.addUser(AuthUserAddRequest.create({ name, hashedPassword }));
  auth.addRole('r');
  auth.grantRole({ user: 'u', role: 'r' });
  auth.grantRole({ user: 'root', role: 'root' });
  expect(auth.enable()).toBeUndefined();
  for (let i = 0; i < 3000; i++)
    auth.grantPermission({
      name: 'r',
      perm: Permission.create({ permType: PermissionType.READ, key: bytes(`key${i}`) }),
    });
  const who = { username: 'u', revision: auth.revision };
  const keys = Array.from({ length: 3000 }, (_, i) => bytes(`key${i}`));
  auth.checkRange(who, bytes('warm'), bytes(''));
  const start = performance.now();
  for (let round = 0; round < 10; round++) for (const key of keys) auth.checkRange(who, key, bytes(''));
  expect(performance.now() - start).toBeLessThan(1000);
});
