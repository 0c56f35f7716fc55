import { Permission, PermissionType, UserAddOptions } from '../../src/wire/gen/authpb.ts';
import {
  AuthDisableRequest,
  AuthEnableRequest,
  AuthenticateRequest,
  AuthRoleAddRequest,
  AuthRoleGrantPermissionRequest,
  AuthRoleRevokePermissionRequest,
  AuthUserAddRequest,
  AuthUserChangePasswordRequest,
  AuthUserDeleteRequest,
  AuthUserGrantRoleRequest,
  PutRequest,
  RangeRequest,
} from '../../src/wire/gen/etcdserverpb.ts';
import { Auth, KV } from '../../src/wire/services.ts';
import { Member, type MemberKind, serverUnderTest } from '../harness/member.ts';
import type { Answer, Method } from '../harness/rpc-client.ts';
import { Side } from './auth-side.ts';

/** The kinds of servers for auth tests. etcd shows whether the test itself is correct. */
export const kinds: readonly MemberKind[] = [...new Set(['etcd', serverUnderTest] as const)];

/** "ok", or code and text of the error. */
export function outcome(answer: Answer): string {
  return 'code' in answer ? `${answer.code} ${answer.details}` : 'ok';
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

/** One member, or one address of it, with what an administrator does to its users and roles. */
export class AuthServer {
  readonly member: Member;
  readonly side: Side;
  /** Root's token, once auth is on. */
  root: string | undefined;

  constructor(member: Member) {
    this.member = member;
    this.side = new Side(member.endpoint);
  }

  static async start(kind: MemberKind, flags: readonly string[] = []): Promise<AuthServer> {
    return new AuthServer(await Member.start({ kind, flags: ['--bcrypt-cost=4', ...flags] }));
  }

  async stop(): Promise<void> {
    this.side.close();
    await this.member.destroy();
  }

  /** @param token root's unless given; "" sends none */
  call<Q, R>(method: Method<Q, R>, request: Q, token = this.root ?? '', onlyFirst = false): Promise<Answer> {
    return this.side.call(method, request, token === '' ? {} : { token }, onlyFirst);
  }

  async must<Q, R>(method: Method<Q, R>, request: Q, token?: string): Promise<R> {
    const answer = await this.call(method, request, token);
    if ('code' in answer) throw new Error(`${method.path}: ${outcome(answer)}`);
    return answer.messages[0] as R;
  }

  async login(name: string, password = name): Promise<string> {
    return (await this.must(Auth.methods.authenticate, AuthenticateRequest.create({ name, password }), ''))
      .token;
  }

  async addUser(name: string, ...roles: string[]): Promise<void> {
    await this.must(Auth.methods.userAdd, AuthUserAddRequest.create({ name, password: name }));
    for (const role of roles)
      await this.must(Auth.methods.userGrantRole, AuthUserGrantRoleRequest.create({ user: name, role }));
  }

  async addUserWithoutPassword(name: string): Promise<void> {
    const options = UserAddOptions.create({ noPassword: true });
    await this.must(Auth.methods.userAdd, AuthUserAddRequest.create({ name, options }));
  }

  async addRole(name: string): Promise<void> {
    await this.must(Auth.methods.roleAdd, AuthRoleAddRequest.create({ name }));
  }

  async grant(name: string, kind: keyof typeof PermissionType, key: string, rangeEnd = ''): Promise<void> {
    const perm = Permission.create({
      permType: PermissionType[kind],
      key: bytes(key),
      rangeEnd: bytes(rangeEnd),
    });
    await this.must(Auth.methods.roleGrantPermission, AuthRoleGrantPermissionRequest.create({ name, perm }));
  }

  async revoke(role: string, key: string, rangeEnd = ''): Promise<void> {
    const request = { role, key: bytes(key), rangeEnd: bytes(rangeEnd) };
    await this.must(Auth.methods.roleRevokePermission, AuthRoleRevokePermissionRequest.create(request));
  }

  async changePassword(name: string, password: string): Promise<void> {
    const request = AuthUserChangePasswordRequest.create({ name, password });
    await this.must(Auth.methods.userChangePassword, request);
  }

  async deleteUser(name: string): Promise<void> {
    await this.must(Auth.methods.userDelete, AuthUserDeleteRequest.create({ name }));
  }

  /** Root, and auth on; root's token is sent from now on, where tokens can be had. */
  async enable(hasTokens = true): Promise<void> {
    await this.addUser('root');
    await this.addRole('root');
    await this.must(
      Auth.methods.userGrantRole,
      AuthUserGrantRoleRequest.create({ user: 'root', role: 'root' }),
    );
    await this.must(Auth.methods.authEnable, AuthEnableRequest.create());
    if (hasTokens) this.root = await this.login('root');
  }

  async disable(): Promise<void> {
    await this.must(Auth.methods.authDisable, AuthDisableRequest.create());
    this.root = undefined;
  }

  async put(key: string, token?: string, over: Partial<PutRequest> = {}): Promise<string> {
    const request = PutRequest.create({ key: bytes(key), value: bytes('v'), ...over });
    return outcome(await this.call(KV.methods.put, request, token));
  }

  async get(key: string, token?: string, rangeEnd = ''): Promise<string> {
    const request = RangeRequest.create({ key: bytes(key), rangeEnd: bytes(rangeEnd) });
    return outcome(await this.call(KV.methods.range, request, token));
  }
}
