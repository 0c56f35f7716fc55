import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestClient, type CallResult } from '../grpc/test-client.ts';
import { errors } from '../wire/errors.ts';
import { PermissionType } from '../wire/gen/authpb.ts';
import {
  AuthenticateRequest,
  AuthenticateResponse,
  AuthRoleAddRequest,
  AuthRoleGetResponse,
  AuthRoleGetRequest,
  AuthRoleGrantPermissionRequest,
  AuthStatusResponse,
  AuthUserAddRequest,
  AuthUserChangePasswordRequest,
  AuthUserDeleteRequest,
  AuthUserGetRequest,
  AuthUserGetResponse,
  AuthUserGrantRoleRequest,
  AuthUserListResponse,
  PutRequest,
  RangeRequest,
} from '../wire/gen/etcdserverpb.ts';
import { Auth, KV } from '../wire/services.ts';
import { registerKv } from './kv.ts';
import { ApiServer } from './testing/api-server.ts';

const { methods } = Auth;
let server: ApiServer;
let client: TestClient;

async function start(flags: string[] = []): Promise<void> {
  server = await ApiServer.start({ flags: ['--bcrypt-cost=4', ...flags], register: registerKv });
  client = new TestClient(`127.0.0.1:${server.port}`);
}

async function stop(): Promise<void> {
  client.close();
  await server.stop();
}

const call = (path: string, body: Buffer, token?: string): Promise<CallResult> =>
  client.unary(path, body, token === undefined ? {} : { metadata: { token } });

const user = (name: string, password: string, token?: string): Promise<CallResult> =>
  call(methods.userAdd.path, AuthUserAddRequest.encode(AuthUserAddRequest.create({ name, password })), token);

const authenticate = (name: string, password: string): Promise<CallResult> =>
  call(methods.authenticate.path, AuthenticateRequest.encode({ name, password }));

async function login(name: string, password: string): Promise<string> {
  const { message, details } = await authenticate(name, password);
  return message === undefined ? details : AuthenticateResponse.decode(message).token;
}

const put = (key: string, token?: string): Promise<CallResult> =>
  call(
    KV.methods.put.path,
    PutRequest.encode(PutRequest.create({ key: Buffer.from(key), value: Buffer.from('v') })),
    token,
  );

const outcome = ({ code, details }: CallResult): [number, string] => [code, details];
const answer = ({ code, message }: { code: number; message: string }): [number, string] => [code, message];

async function enable(): Promise<void> {
  await user('root', 'root-password');
  await call(methods.roleAdd.path, AuthRoleAddRequest.encode({ name: 'root' }));
  await call(methods.userGrantRole.path, AuthUserGrantRoleRequest.encode({ user: 'root', role: 'root' }));
  expect(outcome(await call(methods.authEnable.path, Buffer.alloc(0)))).toEqual([0, '']);
}

describe('simple tokens', () => {
  beforeAll(() => start());
  afterAll(stop);
  let root = '';

  it('auth can be enabled once the root user exists', async () => {
    expect(outcome(await authenticate('root', 'x'))).toEqual(answer(errors.AuthNotEnabled));
    expect(outcome(await call(methods.authEnable.path, Buffer.alloc(0)))).toEqual(
      answer(errors.RootUserNotExist),
    );
    await enable();
    root = await login('root', 'root-password');
    expect(root).toMatch(/^[A-Za-z]{16}\.\d+$/);
    const status = await call(methods.authStatus.path, Buffer.alloc(0));
    expect(AuthStatusResponse.decode(status.message ?? Buffer.alloc(0))).toMatchObject({
      enabled: true,
      authRevision: 4,
    });
  });

  it('users may do what their roles permit', async () => {
    expect(outcome(await user('u', 'u-password'))).toEqual(answer(errors.UserEmpty));
    expect((await user('u', 'u-password', root)).code).toBe(0);
    await call(methods.roleAdd.path, AuthRoleAddRequest.encode({ name: 'r' }), root);
    const perm = { permType: PermissionType.WRITE, key: Buffer.from('a'), rangeEnd: Buffer.alloc(0) };
    await call(
      methods.roleGrantPermission.path,
      AuthRoleGrantPermissionRequest.encode({ name: 'r', perm }),
      root,
    );
    await call(methods.userGrantRole.path, AuthUserGrantRoleRequest.encode({ user: 'u', role: 'r' }), root);
    const token = await login('u', 'u-password');
    expect((await put('a', token)).code).toBe(0);
    expect(outcome(await put('b', token))).toEqual(answer(errors.PermissionDenied));
    expect(outcome(await put('a'))).toEqual(answer(errors.UserEmpty));
    expect(outcome(await put('a', 'made.1'))).toEqual(answer(errors.InvalidAuthToken));
    expect(outcome(await put('a', 'made up'))).toEqual(answer(errors.InvalidAuthToken));
    const bearer = await client.unary(
      KV.methods.range.path,
      RangeRequest.encode(RangeRequest.create({ key: Buffer.from('a') })),
      { metadata: { authorization: `Bearer ${root}` } },
    );
    expect(bearer.code).toBe(0);
  });

  it('users see themselves and their roles, and root sees everything', async () => {
    const token = await login('u', 'u-password');
    const get = (name: string, by: string): Promise<CallResult> =>
      call(methods.userGet.path, AuthUserGetRequest.encode({ name }), by);
    expect(AuthUserGetResponse.decode((await get('u', token)).message ?? Buffer.alloc(0)).roles).toEqual([
      'r',
    ]);
    expect(outcome(await get('root', token))).toEqual(answer(errors.PermissionDenied));
    const role = await call(methods.roleGet.path, AuthRoleGetRequest.encode({ role: 'r' }), token);
    expect(AuthRoleGetResponse.decode(role.message ?? Buffer.alloc(0)).perm).toHaveLength(1);
    expect(outcome(await call(methods.userList.path, Buffer.alloc(0), token))).toEqual(
      answer(errors.PermissionDenied),
    );
    const list = await call(methods.userList.path, Buffer.alloc(0), root);
    expect(AuthUserListResponse.decode(list.message ?? Buffer.alloc(0))).toMatchObject({
      header: { raftTerm: server.member.term },
      users: ['root', 'u'],
    });
  });

  it('no password is written to the raft log or the log output', () => {
    const written = JSON.stringify(server.logLines);
    expect(written).not.toContain('password"');
    expect(server.member.auth.passwordHash('u')).toMatchObject({ hash: expect.any(Buffer) as Buffer });
    const stored = server.member.auth.passwordHash('u') as { hash: Buffer };
    expect(stored.hash.toString()).toMatch(/^\$2a\$04\$/);
  });

  it('failed logins get etcd errors', async () => {
    expect(outcome(await authenticate('u', 'wrong'))).toEqual(answer(errors.AuthFailed));
    expect(outcome(await authenticate('u', ''))).toEqual(answer(errors.AuthFailed));
    const stale = { name: 'u', password: 'u-password' };
    expect((await call(methods.authenticate.path, AuthenticateRequest.encode(stale), 'stale.1')).code).toBe(
      0,
    );
    expect(outcome(await authenticate('nobody', 'wrong'))).toEqual(answer(errors.AuthFailed));
    await call(
      methods.userAdd.path,
      AuthUserAddRequest.encode(AuthUserAddRequest.create({ name: 'bare', options: { noPassword: true } })),
      root,
    );
    expect(outcome(await authenticate('bare', ''))).toEqual([
      2,
      'auth: authentication failed, password was given for no password user',
    ]);
    expect(outcome(await user('long', 'x'.repeat(73), root))).toEqual([
      2,
      'bcrypt: password length exceeds 72 bytes',
    ]);
  });

  it('tokens end when the password changes or the user is deleted', async () => {
    const token = await login('u', 'u-password');
    expect((await put('a', token)).code).toBe(0);
    const change = AuthUserChangePasswordRequest.create({ name: 'u', password: 'next' });
    await call(methods.userChangePassword.path, AuthUserChangePasswordRequest.encode(change), root);
    expect(outcome(await put('a', token))).toEqual(answer(errors.InvalidAuthToken));
    expect(outcome(await authenticate('u', 'u-password'))).toEqual(answer(errors.AuthFailed));
    const next = await login('u', 'next');
    expect((await put('a', next)).code).toBe(0);
    await call(methods.userDelete.path, AuthUserDeleteRequest.encode({ name: 'u' }), root);
    expect(outcome(await put('a', next))).toEqual(answer(errors.InvalidAuthToken));
    expect(outcome(await authenticate('u', 'next'))).toEqual(answer(errors.AuthFailed));
  });

  it('many logins at once succeed', async () => {
    const tokens = await Promise.all(Array.from({ length: 200 }, () => login('root', 'root-password')));
    expect(new Set(tokens).size).toBe(200);
    expect((await put('a', tokens[7])).code).toBe(0);
  });

  it('disabling ends all tokens', async () => {
    expect((await call(methods.authDisable.path, Buffer.alloc(0), root)).code).toBe(0);
    expect((await put('a')).code).toBe(0);
    expect((await call(methods.authEnable.path, Buffer.alloc(0))).code).toBe(0);
    expect(outcome(await put('a', root))).toEqual(answer(errors.InvalidAuthToken));
  });
});

describe('names that do not fit into a snapshot', () => {
  beforeAll(() => start());
  afterAll(stop);
  const role = (name: string): Promise<CallResult> =>
    call(methods.roleAdd.path, AuthRoleAddRequest.encode({ name }));

  it.each([
    ['a user', (name: string) => user(name, 'x')],
    ['a role', role],
  ])('the name of %s has at most 32,768 bytes', async (_, add) => {
    expect(outcome(await add('n'.repeat(32_768)))).toEqual([0, '']);
    for (const long of ['n'.repeat(32_769), 'é'.repeat(16_385)])
      expect(outcome(await add(long))).toEqual([
        3,
        'etcdserver: name of a user or role is longer than 32768 bytes',
      ]);
  });
});
