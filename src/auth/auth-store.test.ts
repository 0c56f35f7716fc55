import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryEngine } from '../storage/memory-engine.ts';
import { EtcdError, errors } from '../wire/errors.ts';
import { Permission, PermissionType } from '../wire/gen/authpb.ts';
import { AuthUserAddRequest } from '../wire/gen/etcdserverpb.ts';
import { type AuthInfo, AuthStore } from './auth-store.ts';

const { READ, WRITE, READWRITE } = PermissionType;
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const HASH = Buffer.from('not really a hash').toString('base64');

let engine: MemoryEngine;
let auth: AuthStore;

beforeEach(() => {
  engine = new MemoryEngine();
  auth = new AuthStore({ engine });
});

function user(name: string, ...roles: string[]): void {
  expect(auth.addUser(AuthUserAddRequest.create({ name, hashedPassword: HASH }))).toBeUndefined();
  for (const role of roles) expect(auth.grantRole({ user: name, role })).toBeUndefined();
}

function grant(role: string, permType: PermissionType, key: string, rangeEnd = ''): EtcdError | undefined {
  return auth.grantPermission({
    name: role,
    perm: Permission.create({ permType, key: bytes(key), rangeEnd: bytes(rangeEnd) }),
  });
}

function enable(): void {
  user('root', 'root');
  expect(auth.enable()).toBeUndefined();
}

function as(username: string): AuthInfo {
  return { username, revision: auth.revision };
}

function save(): void {
  const batch = engine.batch();
  auth.stage(batch);
  engine.write(batch);
}

describe('permissions', () => {
  beforeEach(() => {
    auth.addRole('r');
    auth.addRole('s');
    user('u', 'r', 's');
    enable();
  });

  const range = (key: string, end = ''): EtcdError | undefined =>
    auth.checkRange(as('u'), bytes(key), bytes(end));
  const write = (key: string, end = ''): EtcdError | undefined =>
    auth.checkDeleteRange(as('u'), bytes(key), bytes(end));

  it('of several roles are merged into one range', () => {
    grant('r', READ, 'a', 'c');
    grant('s', READWRITE, 'c', 'e');
    expect(range('a', 'e')).toBeUndefined();
    expect(range('a', 'f')).toBe(errors.PermissionDenied);
    expect(write('c', 'e')).toBeUndefined();
    expect(write('a')).toBe(errors.PermissionDenied);
  });

  it('on a key apply to that key only', () => {
    grant('r', WRITE, 'k');
    expect(write('k')).toBeUndefined();
    expect(write('k', 'k\0')).toBeUndefined();
    expect(write('k', 'k\0\0')).toBe(errors.PermissionDenied);
    expect(write('k\0')).toBe(errors.PermissionDenied);
    expect(range('k')).toBe(errors.PermissionDenied);
    expect(write('k', '\0')).toBe(errors.PermissionDenied);
  });

  it('cover a range with an open end only if they have an open end', () => {
    grant('r', READ, 'm', '\xff');
    expect(range('m', '\0')).toBe(errors.PermissionDenied);
    grant('s', READ, 'n', '\0');
    expect(range('m', '\0')).toBeUndefined();
    expect(range('\xff\xff')).toBeUndefined();
    expect(range('a', '\0')).toBe(errors.PermissionDenied);
  });

  it('on all keys', () => {
    grant('r', READ, '\0', '\0');
    expect(range('\0', '\0')).toBeUndefined();
    expect(range('a', 'b')).toBeUndefined();
  });

  it('with an empty key or an inverted range are refused', () => {
    expect(grant('r', READ, '')).toBe(errors.InvalidAuthMgmt);
    expect(grant('r', READ, 'b', 'a')).toBe(errors.InvalidAuthMgmt);
    expect(auth.grantPermission({ name: 'r', perm: undefined })).toBe(errors.PermissionNotGiven);
    expect(grant('nobody', READ, 'a')).toBe(errors.RoleNotFound);
  });

  it('are replaced when the same range is granted again, and revoked by range', () => {
    grant('r', READ, 'a', 'c');
    grant('r', WRITE, 'a', 'c');
    expect(auth.role('r')).toMatchObject([{ permType: WRITE }]);
    expect(auth.revokePermission({ role: 'r', key: bytes('a'), rangeEnd: bytes('b') })).toBe(
      errors.PermissionNotGranted,
    );
    expect(auth.revokePermission({ role: 'r', key: bytes('a'), rangeEnd: bytes('c') })).toBeUndefined();
    expect(auth.role('r')).toEqual([]);
    expect(write('a')).toBe(errors.PermissionDenied);
  });

  it('are refused when the auth revision is older than the present one', () => {
    const before = as('root');
    expect(auth.checkRange(before, bytes('a'), bytes(''))).toBeUndefined();
    auth.addRole('t');
    expect(auth.checkRange(before, bytes('a'), bytes(''))).toBe(errors.AuthOldRevision);
    expect(auth.checkRange({ username: '', revision: 0 }, bytes('a'), bytes(''))).toBe(errors.UserEmpty);
    expect(auth.checkRange(as('gone'), bytes('a'), bytes(''))).toBe(errors.PermissionDenied);
  });
});

describe('users and roles', () => {
  it('follow the rules of etcd', () => {
    expect(auth.enable()).toBe(errors.RootUserNotExist);
    user('root');
    expect(auth.enable()).toBe(errors.RootRoleNotExist);
    expect(auth.grantRole({ user: 'root', role: 'root' })).toBeUndefined();
    expect(auth.enable()).toBeUndefined();
    expect(auth.addUser(AuthUserAddRequest.create({}))).toBe(errors.UserEmpty);
    expect(auth.addUser(AuthUserAddRequest.create({ name: 'root' }))).toBe(errors.UserAlreadyExist);
    expect(auth.addUser(AuthUserAddRequest.create({ name: 'x', hashedPassword: '%' }))).toMatchObject({
      code: 2,
    });
    expect(auth.deleteUser('root')).toBe(errors.InvalidAuthMgmt);
    expect(auth.deleteUser('x')).toBe(errors.UserNotFound);
    expect(auth.revokeRole({ name: 'root', role: 'root' })).toBe(errors.InvalidAuthMgmt);
    expect(auth.deleteRole('root')).toBe(errors.InvalidAuthMgmt);
    expect(auth.addRole('')).toBe(errors.RoleEmpty);
    expect(auth.addRole('r')).toBeUndefined();
    expect(auth.addRole('r')).toBe(errors.RoleAlreadyExist);
    expect(auth.grantRole({ user: 'root', role: 'nobody' })).toBe(errors.RoleNotFound);
    expect(auth.revokeRole({ name: 'root', role: 'r' })).toBe(errors.RoleNotGranted);
    expect(auth.role('nobody')).toBe(errors.RoleNotFound);
  });

  it('increment the revision once per change, but not for a role granted again', () => {
    expect(auth.revision).toBe(1);
    auth.addRole('r');
    user('u', 'r');
    expect(auth.revision).toBe(4);
    auth.grantRole({ user: 'u', role: 'r' });
    expect(auth.revision).toBe(4);
    auth.deleteRole('r');
    expect(auth.revision).toBe(5);
    expect(auth.user('u')).toEqual([]);
    enable();
    const revision = auth.revision;
    auth.enable();
    expect(auth.revision).toBe(revision);
    auth.disable();
    expect(auth.revision).toBe(revision + 1);
  });

  it('are restored after a restart', () => {
    auth.addRole('r');
    grant('r', READWRITE, 'a', 'b');
    user('u', 'r');
    expect(
      auth.addUser(AuthUserAddRequest.create({ name: 'bare', options: { noPassword: true } })),
    ).toBeUndefined();
    enable();
    save();
    const again = new AuthStore({ engine });
    expect(again.isEnabled).toBe(true);
    expect(again.revision).toBe(auth.revision);
    expect(again.userNames()).toEqual(['bare', 'root', 'u']);
    expect(again.role('r')).toEqual(auth.role('r'));
    expect(again.passwordHash('u')).toEqual({ hash: Buffer.from(HASH, 'base64'), revision: auth.revision });
    expect(again.passwordHash('bare')).toMatchObject({ code: 2 });
    expect(again.authenticate('bare')).toBe(errors.AuthFailed);
    expect(again.checkAdmin({ username: 'u', revision: 1 })).toBe(errors.PermissionDenied);
    expect(again.checkAdmin({ username: 'root', revision: 1 })).toBeUndefined();
    expect(again.checkAdmin(undefined)).toBe(errors.UserEmpty);
  });
});
