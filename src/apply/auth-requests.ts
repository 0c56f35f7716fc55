import type { AuthInfo, AuthStore } from '../auth/auth-store.ts';
import { EtcdError } from '../wire/errors.ts';
import {
  AuthenticateResponse,
  AuthRoleGetResponse,
  AuthRoleListResponse,
  AuthStatusResponse,
  AuthUserGetResponse,
  AuthUserListResponse,
  type InternalRaftRequest,
} from '../wire/gen/etcdserverpb.ts';
import { needsAdmin } from './auth-checks.ts';
import { type ApplyResult, headerOnly, message } from './results.ts';

/** Makes simple tokens as entries are applied. A signed token is made by the member that answers the client. */
export interface TokenAssigner {
  /**
   * @param prefix the random prefix that the proposer chose; empty for signed tokens
   * @param index the last entry applied before this one
   * @returns the token; empty if it is not made here
   */
  assign(username: string, prefix: string, index: number): string;
}

export interface AuthRequestContext {
  readonly auth: AuthStore;
  readonly tokens: TokenAssigner | undefined;
  readonly who: AuthInfo;
  /** The store's revision, for response headers. */
  readonly revision: number;
  /** The index of the last entry applied before this one. */
  readonly index: number;
}

/** @returns undefined if this is not an auth request */
export function applyAuthRequest(
  context: AuthRequestContext,
  request: InternalRaftRequest,
): ApplyResult | undefined {
  const { auth, who } = context;
  if (needsAdmin(request)) {
    const error = auth.checkAdmin(who);
    if (error !== undefined) return error;
  }
  return (
    applyQuery(context, request) ?? applyUserChange(context, request) ?? applyRoleChange(context, request)
  );
}

function applyQuery(
  { auth, tokens, who, revision, index }: AuthRequestContext,
  request: InternalRaftRequest,
): ApplyResult | undefined {
  if (request.authenticate !== undefined) {
    const { name, simpleToken } = request.authenticate;
    const error = auth.authenticate(name);
    if (error !== undefined) return error;
    const token = tokens?.assign(name, simpleToken, index) ?? '';
    return message(revision, AuthenticateResponse.encode({ header: undefined, token }));
  }
  if (request.authStatus !== undefined) {
    const status = { header: undefined, enabled: auth.isEnabled, authRevision: auth.revision };
    return message(revision, AuthStatusResponse.encode(status));
  }
  if (request.authUserGet !== undefined) {
    const denied = auth.checkAdmin(who);
    if (denied !== undefined && request.authUserGet.name !== who.username) return denied;
    const roles = auth.user(request.authUserGet.name);
    if (roles instanceof EtcdError) return roles;
    return message(revision, AuthUserGetResponse.encode({ header: undefined, roles: [...roles] }));
  }
  if (request.authRoleGet !== undefined) {
    const denied = auth.checkAdmin(who);
    if (denied !== undefined && !auth.hasRole(who.username, request.authRoleGet.role)) return denied;
    const perm = auth.role(request.authRoleGet.role);
    if (perm instanceof EtcdError) return perm;
    return message(revision, AuthRoleGetResponse.encode({ header: undefined, perm: [...perm] }));
  }
  if (request.authUserList !== undefined) {
    return message(revision, AuthUserListResponse.encode({ header: undefined, users: auth.userNames() }));
  }
  if (request.authRoleList !== undefined) {
    return message(revision, AuthRoleListResponse.encode({ header: undefined, roles: auth.roleNames() }));
  }
  return undefined;
}

function applyUserChange(
  { auth, revision }: AuthRequestContext,
  request: InternalRaftRequest,
): ApplyResult | undefined {
  const done = headerOnly(revision);
  if (request.authUserAdd !== undefined) return auth.addUser(request.authUserAdd) ?? done;
  if (request.authUserDelete !== undefined) return auth.deleteUser(request.authUserDelete.name) ?? done;
  if (request.authUserChangePassword !== undefined)
    return auth.changePassword(request.authUserChangePassword) ?? done;
  if (request.authUserGrantRole !== undefined) return auth.grantRole(request.authUserGrantRole) ?? done;
  if (request.authUserRevokeRole !== undefined) return auth.revokeRole(request.authUserRevokeRole) ?? done;
  return undefined;
}

function applyRoleChange(
  { auth, revision }: AuthRequestContext,
  request: InternalRaftRequest,
): ApplyResult | undefined {
  const done = headerOnly(revision);
  if (request.authRoleAdd !== undefined) return auth.addRole(request.authRoleAdd.name) ?? done;
  if (request.authRoleDelete !== undefined) return auth.deleteRole(request.authRoleDelete.role) ?? done;
  if (request.authRoleGrantPermission !== undefined)
    return auth.grantPermission(request.authRoleGrantPermission) ?? done;
  if (request.authRoleRevokePermission !== undefined)
    return auth.revokePermission(request.authRoleRevokePermission) ?? done;
  if (request.authEnable !== undefined) return auth.enable() ?? done;
  if (request.authDisable !== undefined) {
    auth.disable();
    return done;
  }
  return undefined;
}
