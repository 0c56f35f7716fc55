import { isError, message } from '../apply/results.ts';
import type { ApplyResult } from '../apply/results.ts';
import type { AuthInfo } from '../auth/auth-store.ts';
import type { UnaryCall } from '../grpc/unary-call.ts';
import type { Logger } from '../ports/logger.ts';
import { RaftRequestField } from '../server/raft-request.ts';
import { EtcdError, errors, GrpcCode } from '../wire/errors.ts';
import {
  type AuthenticateRequest,
  AuthenticateResponse,
  AuthUserAddRequest,
  AuthUserChangePasswordRequest,
  InternalAuthenticateRequest,
} from '../wire/gen/etcdserverpb.ts';
import { Auth } from '../wire/services.ts';
import type { LoginLimiter } from './auth/login-limiter.ts';
import type { PasswordHasher } from './auth/password-hasher.ts';
import type { TokenProvider } from './auth/token-provider.ts';
import { failCall, type ServiceContext, type UnaryMethod } from './service-context.ts';

export interface AuthServiceOptions {
  readonly passwords: PasswordHasher;
  readonly limiter: LoginLimiter;
  readonly tokens: TokenProvider;
  readonly logger: Logger;
}

/**
 * The longest name of a user or role, in bytes. Names are keys in etcd's database file, and bbolt limits the key
 * length.
 */
const MAX_NAME_BYTES = 32_768;
const NAME_TOO_LONG = new EtcdError(
  GrpcCode.InvalidArgument,
  `etcdserver: name of a user or role is longer than ${MAX_NAME_BYTES} bytes`,
);

function isTooLong(name: string): boolean {
  return name.length > MAX_NAME_BYTES || Buffer.byteLength(name) > MAX_NAME_BYTES;
}

/** The Auth service. Every request goes through raft, reads included, so that a response is never stale. */
export function registerAuth(context: ServiceContext, options: AuthServiceOptions): void {
  const { methods } = Auth;
  const { passwords } = options;
  const forwarded: readonly (readonly [UnaryMethod<unknown>, RaftRequestField])[] = [
    [methods.authEnable, RaftRequestField.authEnable],
    [methods.authDisable, RaftRequestField.authDisable],
    [methods.authStatus, RaftRequestField.authStatus],
    [methods.userGet, RaftRequestField.authUserGet],
    [methods.userList, RaftRequestField.authUserList],
    [methods.userDelete, RaftRequestField.authUserDelete],
    [methods.userGrantRole, RaftRequestField.authUserGrantRole],
    [methods.userRevokeRole, RaftRequestField.authUserRevokeRole],
    [methods.roleGet, RaftRequestField.authRoleGet],
    [methods.roleList, RaftRequestField.authRoleList],
    [methods.roleDelete, RaftRequestField.authRoleDelete],
    [methods.roleGrantPermission, RaftRequestField.authRoleGrantPermission],
    [methods.roleRevokePermission, RaftRequestField.authRoleRevokePermission],
  ];
  context.unary(methods.roleAdd, (call, request, bytes) => {
    if (isTooLong(request.name)) throw NAME_TOO_LONG;
    context.asCaller(call, (who) => context.propose(call, RaftRequestField.authRoleAdd, bytes, who));
  });

  for (const [method, field] of forwarded) {
    context.unary(method, (call, _request, bytes) => {
      context.asCaller(call, (who) => context.propose(call, field, bytes, who));
    });
  }

  // Only the hash goes into the raft log. The password never reaches another member or the disk.
  context.unary(methods.userAdd, (call, request) => {
    if (isTooLong(request.name)) throw NAME_TOO_LONG;
    context.asCaller(call, (who) => {
      const propose = (hashedPassword: string): void => {
        const body = AuthUserAddRequest.encode({ ...request, password: '', hashedPassword });
        context.propose(call, RaftRequestField.authUserAdd, body, who);
      };
      if (request.options?.noPassword === true) propose(request.hashedPassword);
      else withHash(passwords, call, { password: request.password, who, next: propose });
    });
  });

  context.unary(methods.userChangePassword, (call, request) => {
    context.asCaller(call, (who) => {
      const propose = (hashedPassword: string): void => {
        const body = AuthUserChangePasswordRequest.encode({ ...request, password: '', hashedPassword });
        context.propose(call, RaftRequestField.authUserChangePassword, body, who);
      };
      if (request.password === '') propose(request.hashedPassword);
      else withHash(passwords, call, { password: request.password, who, next: propose });
    });
  });

  context.unary(methods.authenticate, (call, request) => {
    const failed = (error: unknown): void => failCall(call, error);
    options.limiter
      .pass(() => !call.ended)
      .then(() => {
        if (call.ended) return;
        const readable = (): void => {
          call.onCancel = undefined;
          void new Authentication(context, options, call).run(request);
        };
        call.onCancel = context.member.read({ readable, failed });
      })
      .catch(failed);
  });
}

interface Hashing {
  readonly password: string;
  readonly who: AuthInfo | undefined;
  readonly next: (hashedPassword: string) => void;
}

function withHash(passwords: PasswordHasher, call: UnaryCall, { password, who, next }: Hashing): void {
  passwords
    .hash(password, who?.username ?? '')
    .then((hash) => {
      if (!call.ended) next(hash.toString('base64'));
    })
    .catch((error: unknown) => failCall(call, error));
}

/** One login. The password is compared here. The raft entry creates the token, so that every member accepts it. */
class Authentication {
  readonly #context: ServiceContext;
  readonly #options: AuthServiceOptions;
  readonly #call: UnaryCall;

  constructor(context: ServiceContext, options: AuthServiceOptions, call: UnaryCall) {
    this.#context = context;
    this.#options = options;
    this.#call = call;
  }

  async run(request: AuthenticateRequest): Promise<void> {
    try {
      const { member } = this.#context;
      const { name } = request;
      for (;;) {
        const checkedRevision = await this.#checkPassword(request);
        if (this.#call.ended) return;
        const result = await this.#propose(name);
        if (isError(result)) throw result;
        // Users may have changed in the meantime, also this user's password. Then the password is compared again.
        if (checkedRevision === member.auth.revision) {
          await this.#answer(name, result);
          return;
        }
      }
    } catch (error) {
      failCall(this.#call, error);
    }
  }

  /** @returns the auth revision at which the password was correct */
  async #checkPassword({ name, password }: AuthenticateRequest): Promise<number> {
    const { auth } = this.#context.member;
    const { passwords, logger } = this.#options;
    const stored = auth.passwordHash(name);
    const isRight =
      !(stored instanceof EtcdError) &&
      (await passwords.verify({
        username: name,
        password,
        hash: stored.hash,
        isWanted: () => !this.#call.ended,
      }));
    if (isRight) return stored.revision;
    const error = stored instanceof EtcdError ? stored : errors.AuthFailed;
    if (error !== errors.AuthNotEnabled && !this.#call.ended)
      logger.warn('invalid authentication was requested', { user: name, error: error.message });
    throw error;
  }

  #propose(name: string): Promise<ApplyResult> {
    const simpleToken = this.#options.tokens.drawPrefix();
    const body = InternalAuthenticateRequest.encode({ name, password: '', simpleToken });
    // A token sent with the login is ignored: a client logs in to replace a token that has expired.
    return new Promise((resolve, reject) => {
      this.#context.member.propose(RaftRequestField.authenticate, body, undefined, {
        settled: resolve,
        failed: reject,
      });
    });
  }

  async #answer(name: string, result: Exclude<ApplyResult, EtcdError>): Promise<void> {
    const { revision, body } = result;
    const applied = AuthenticateResponse.decode(Buffer.concat([...body.slices]));
    const token = await this.#options.tokens.finish(name, applied.token, this.#context.member.auth.revision);
    this.#context.answer(
      this.#call,
      message(revision, AuthenticateResponse.encode({ header: undefined, token })),
    );
  }
}
