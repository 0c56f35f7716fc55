import { assert, defined } from '../lib/assert.ts';
import { sortUnstably } from '../lib/unstable-sort.ts';
import type { Engine, WriteBatch } from '../ports/engine.ts';
import { EtcdError, errors, GrpcCode } from '../wire/errors.ts';
import { type Permission, PermissionType, Role, User, UserAddOptions } from '../wire/gen/authpb.ts';
import type {
  AuthRoleGrantPermissionRequest,
  AuthRoleRevokePermissionRequest,
  AuthUserAddRequest,
  AuthUserChangePasswordRequest,
  AuthUserGrantRoleRequest,
  AuthUserRevokeRoleRequest,
} from '../wire/gen/etcdserverpb.ts';
import { EMPTY } from '../wire/reader.ts';
import { isValidPermissionRange, Permissions } from './permissions.ts';
import { roleRow, rows, userRow } from './rows.ts';

export const ROOT_USER = 'root';
export const ROOT_ROLE = 'root';

/** The permission of the root role, as `role get` shows it. */
const ROOT_PERMISSION: Permission = {
  permType: PermissionType.READWRITE,
  key: EMPTY,
  rangeEnd: Buffer.from([0]),
};

const NO_PASSWORD_USER = new EtcdError(
  GrpcCode.Unknown,
  'auth: authentication failed, password was given for no password user',
);

/** The user of a request, and the auth revision at which it was authenticated. Revision 0 means no user. */
export interface AuthInfo {
  readonly username: string;
  readonly revision: number;
}

export const NOBODY: AuthInfo = { username: '', revision: 0 };

/** Simple tokens, which must be notified of changes of the store. */
export interface TokenObserver {
  enable(): void;
  disable(): void;
  invalidateUser(username: string): void;
}

export interface AuthStoreOptions {
  readonly engine: Engine;
  readonly tokens?: TokenObserver;
  /** Hashes a plain password from a log entry written by etcd before 3.5. Newer entries contain the hash. */
  readonly hashLegacyPassword?: (password: string) => Buffer;
}

/**
 * Users, roles and permissions, and whether authentication is enabled. Changes come from applied log entries. `stage`
 * writes them in the same engine batch as their entry.
 *
 * Each change increments the auth revision. A request whose permission was checked at an older revision is refused,
 * since the permission may have been revoked.
 */
export class AuthStore {
  readonly #options: AuthStoreOptions;
  readonly #users = new Map<string, User>();
  readonly #roles = new Map<string, Role>();
  /** Cache of the merged permissions by user. */
  readonly #permissions = new Map<string, Permissions>();
  /** Rows to write; undefined means delete. */
  readonly #dirty = new Map<string, Buffer | undefined>();
  #enabled = false;
  #revision = 0;

  constructor(options: AuthStoreOptions) {
    this.#options = options;
    this.recover();
  }

  /** Reads all state from the engine again. */
  recover(): void {
    const { engine } = this.#options;
    this.#users.clear();
    this.#roles.clear();
    this.#permissions.clear();
    this.#dirty.clear();
    for (const value of valuesWith(engine, rows.users)) {
      const user = User.decode(value);
      this.#users.set(user.name.toString(), user);
    }
    for (const value of valuesWith(engine, rows.roles)) {
      const role = Role.decode(value);
      this.#roles.set(role.name.toString(), role);
    }
    this.#enabled = engine.get('auth', rows.enabled)?.[0] === 1;
    const revision = engine.get('auth', rows.revision);
    this.#revision = revision === undefined ? 0 : Number(revision.readBigUInt64BE(0));
    if (this.#revision === 0) this.#commitRevision();
    if (this.#enabled) this.#options.tokens?.enable();
    else this.#options.tokens?.disable();
  }

  get isEnabled(): boolean {
    return this.#enabled;
  }

  get revision(): number {
    return this.#revision;
  }

  enable(): EtcdError | undefined {
    if (this.#enabled) return undefined;
    const root = this.#users.get(ROOT_USER);
    if (root === undefined) return errors.RootUserNotExist;
    if (!root.roles.includes(ROOT_ROLE)) return errors.RootRoleNotExist;
    this.#setEnabled(true);
    this.#options.tokens?.enable();
    return undefined;
  }

  disable(): void {
    if (!this.#enabled) return;
    this.#setEnabled(false);
    this.#commitRevision();
    this.#options.tokens?.disable();
  }

  /**
   * Whether the user may get a token. The password was compared with `passwordHash` before the request was proposed.
   */
  authenticate(username: string): EtcdError | undefined {
    if (!this.#enabled) return errors.AuthNotEnabled;
    const user = this.#users.get(username);
    return user === undefined || user.options?.noPassword === true ? errors.AuthFailed : undefined;
  }

  /** The bcrypt hash to compare a login's password with, and the revision it belongs to. */
  passwordHash(username: string): { readonly hash: Buffer; readonly revision: number } | EtcdError {
    if (!this.#enabled) return errors.AuthNotEnabled;
    const user = this.#users.get(username);
    if (user === undefined) return errors.AuthFailed;
    if (user.options?.noPassword === true) return NO_PASSWORD_USER;
    return { hash: user.password, revision: this.#revision };
  }

  addUser(request: AuthUserAddRequest): EtcdError | undefined {
    if (request.name === '') return errors.UserEmpty;
    if (this.#users.has(request.name)) return errors.UserAlreadyExist;
    const options = request.options ?? UserAddOptions.create();
    const password = options.noPassword
      ? EMPTY
      : this.#selectPassword(request.password, request.hashedPassword);
    if (password === undefined) return NO_PASSWORD_USER;
    this.#putUser({ name: Buffer.from(request.name), password, roles: [], options });
    this.#commitRevision();
    return undefined;
  }

  deleteUser(name: string): EtcdError | undefined {
    if (this.#enabled && name === ROOT_USER) return errors.InvalidAuthMgmt;
    if (!this.#users.delete(name)) return errors.UserNotFound;
    this.#dirty.set(userRow(name).toString('latin1'), undefined);
    this.#commitRevision();
    this.#options.tokens?.invalidateUser(name);
    return undefined;
  }

  changePassword(request: AuthUserChangePasswordRequest): EtcdError | undefined {
    const user = this.#users.get(request.name);
    if (user === undefined) return errors.UserNotFound;
    const password =
      user.options?.noPassword === true
        ? EMPTY
        : this.#selectPassword(request.password, request.hashedPassword);
    if (password === undefined) return NO_PASSWORD_USER;
    this.#putUser({ ...user, password });
    this.#commitRevision();
    this.#options.tokens?.invalidateUser(request.name);
    return undefined;
  }

  grantRole(request: AuthUserGrantRoleRequest): EtcdError | undefined {
    const user = this.#users.get(request.user);
    if (user === undefined) return errors.UserNotFound;
    if (request.role !== ROOT_ROLE && !this.#roles.has(request.role)) return errors.RoleNotFound;
    // As in etcd, a role granted again does not change the revision.
    if (user.roles.includes(request.role)) return undefined;
    this.#putUser({ ...user, roles: [...user.roles, request.role].sort(byBytes) });
    this.#commitRevision();
    return undefined;
  }

  revokeRole(request: AuthUserRevokeRoleRequest): EtcdError | undefined {
    if (this.#enabled && request.name === ROOT_USER && request.role === ROOT_ROLE)
      return errors.InvalidAuthMgmt;
    const user = this.#users.get(request.name);
    if (user === undefined) return errors.UserNotFound;
    if (!user.roles.includes(request.role)) return errors.RoleNotGranted;
    this.#putUser({ ...user, roles: user.roles.filter((role) => role !== request.role) });
    this.#commitRevision();
    return undefined;
  }

  /** Returns the roles of a user. */
  user(name: string): readonly string[] | EtcdError {
    return this.#users.get(name)?.roles ?? errors.UserNotFound;
  }

  userNames(): string[] {
    return [...this.#users.keys()].sort(byBytes);
  }

  addRole(name: string): EtcdError | undefined {
    if (name === '') return errors.RoleEmpty;
    if (this.#roles.has(name)) return errors.RoleAlreadyExist;
    this.#putRole({ name: Buffer.from(name), keyPermission: [] });
    this.#commitRevision();
    return undefined;
  }

  deleteRole(name: string): EtcdError | undefined {
    if (this.#enabled && name === ROOT_ROLE) return errors.InvalidAuthMgmt;
    if (!this.#roles.delete(name)) return errors.RoleNotFound;
    this.#dirty.set(roleRow(name).toString('latin1'), undefined);
    for (const user of this.#users.values()) {
      if (user.roles.includes(name))
        this.#putUser({ ...user, roles: user.roles.filter((role) => role !== name) });
    }
    this.#commitRevision();
    return undefined;
  }

  grantPermission(request: AuthRoleGrantPermissionRequest): EtcdError | undefined {
    const granted = request.perm;
    if (granted === undefined) return errors.PermissionNotGiven;
    if (!isValidPermissionRange(granted.key, granted.rangeEnd)) return errors.InvalidAuthMgmt;
    const role = this.#roles.get(request.name);
    if (role === undefined) return errors.RoleNotFound;
    const permissions = [...role.keyPermission];
    // Only the first permission on the key is compared, because etcd's search stops there. So the same range can be
    // added twice when the key has several ranges. Which one is first depends on etcd's sort, which must be the same
    // here.
    const at = permissions.findIndex(({ key }) => Buffer.compare(key, granted.key) >= 0);
    const present = permissions[at];
    if (present?.key.equals(granted.key) === true && present.rangeEnd.equals(granted.rangeEnd)) {
      permissions[at] = { ...present, permType: granted.permType };
    } else {
      permissions.push({
        permType: granted.permType,
        key: Buffer.from(granted.key),
        rangeEnd: Buffer.from(granted.rangeEnd),
      });
      sortUnstably(permissions, (a, b) => Buffer.compare(a.key, b.key) < 0);
    }
    this.#putRole({ ...role, keyPermission: permissions });
    this.#commitRevision();
    return undefined;
  }

  revokePermission(request: AuthRoleRevokePermissionRequest): EtcdError | undefined {
    const role = this.#roles.get(request.role);
    if (role === undefined) return errors.RoleNotFound;
    const left = role.keyPermission.filter(
      ({ key, rangeEnd }) => !key.equals(request.key) || !rangeEnd.equals(request.rangeEnd),
    );
    if (left.length === role.keyPermission.length) return errors.PermissionNotGranted;
    this.#putRole({ ...role, keyPermission: left });
    this.#commitRevision();
    return undefined;
  }

  /** Returns the permissions of a role. */
  role(name: string): readonly Permission[] | EtcdError {
    const role = this.#roles.get(name);
    if (role === undefined) return errors.RoleNotFound;
    return name === ROOT_ROLE ? [ROOT_PERMISSION] : role.keyPermission;
  }

  roleNames(): string[] {
    return [...this.#roles.keys()].sort(byBytes);
  }

  hasRole(username: string, role: string): boolean {
    return this.#users.get(username)?.roles.includes(role) === true;
  }

  checkPut(who: AuthInfo, key: Buffer): EtcdError | undefined {
    return this.#enabled ? this.#check(who, key, EMPTY, true) : undefined;
  }

  checkRange(who: AuthInfo, key: Buffer, rangeEnd: Buffer): EtcdError | undefined {
    return this.#enabled ? this.#check(who, key, rangeEnd, false) : undefined;
  }

  checkDeleteRange(who: AuthInfo, key: Buffer, rangeEnd: Buffer): EtcdError | undefined {
    return this.#enabled ? this.#check(who, key, rangeEnd, true) : undefined;
  }

  /**
   * For reads, which do not pass through the log: refuses a request whose permission was checked at another revision
   * than the present one, since the permission may have been revoked.
   */
  checkCurrent(who: AuthInfo): EtcdError | undefined {
    return who.revision === 0 || who.revision === this.#revision ? undefined : errors.AuthOldRevision;
  }

  /** Checks that the user has the root role. */
  checkAdmin(who: AuthInfo | undefined): EtcdError | undefined {
    if (!this.#enabled) return undefined;
    if (who === undefined || who.username === '') return errors.UserEmpty;
    const user = this.#users.get(who.username);
    if (user === undefined) return errors.UserNotFound;
    return user.roles.includes(ROOT_ROLE) ? undefined : errors.PermissionDenied;
  }

  /** Adds the changes since the last call to the batch. */
  stage(batch: WriteBatch): void {
    if (this.#dirty.size === 0) return;
    for (const [row, value] of this.#dirty) {
      const key = Buffer.from(row, 'latin1');
      if (value === undefined) batch.del('auth', key);
      else batch.put('auth', key, value);
    }
    this.#dirty.clear();
  }

  #check(who: AuthInfo, key: Buffer, rangeEnd: Buffer, write: boolean): EtcdError | undefined {
    if (who.revision === 0) return errors.UserEmpty;
    if (who.revision < this.#revision) return errors.AuthOldRevision;
    const user = this.#users.get(who.username);
    if (user === undefined) return errors.PermissionDenied;
    if (user.roles.includes(ROOT_ROLE)) return undefined;
    const permissions = this.#permissionsOf(user);
    const allowed = write ? permissions.mayWrite(key, rangeEnd) : permissions.mayRead(key, rangeEnd);
    return allowed ? undefined : errors.PermissionDenied;
  }

  #permissionsOf(user: User): Permissions {
    const name = user.name.toString();
    const known = this.#permissions.get(name);
    if (known !== undefined) return known;
    const merged = new Permissions();
    for (const role of user.roles) {
      for (const permission of this.#roles.get(role)?.keyPermission ?? []) merged.add(permission);
    }
    this.#permissions.set(name, merged);
    return merged;
  }

  /** @returns undefined when the hash isn't base64 */
  #selectPassword(plain: string, hashed: string): Buffer | undefined {
    if (plain !== '' && hashed === '') {
      const { hashLegacyPassword } = this.#options;
      assert(hashLegacyPassword !== undefined, 'entries carry hashed passwords');
      return hashLegacyPassword(plain);
    }
    return BASE64.test(hashed) ? Buffer.from(hashed, 'base64') : undefined;
  }

  #setEnabled(enabled: boolean): void {
    this.#enabled = enabled;
    this.#permissions.clear();
    this.#dirty.set(rows.enabled.toString('latin1'), Buffer.from([enabled ? 1 : 0]));
  }

  #putUser(user: User): void {
    const name = user.name.toString();
    this.#users.set(name, user);
    this.#dirty.set(userRow(name).toString('latin1'), User.encode(user));
  }

  #putRole(role: Role): void {
    const name = role.name.toString();
    this.#roles.set(name, role);
    this.#dirty.set(roleRow(name).toString('latin1'), Role.encode(role));
  }

  #commitRevision(): void {
    this.#revision++;
    this.#permissions.clear();
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(this.#revision));
    this.#dirty.set(rows.revision.toString('latin1'), bytes);
  }
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function* valuesWith(engine: Engine, prefix: string): Generator<Buffer> {
  const gte = Buffer.from(prefix);
  const lt = Buffer.from(gte);
  lt.writeUInt8(lt.readUInt8(lt.length - 1) + 1, lt.length - 1);
  const iterator = engine.iterate('auth', { gte, lt });
  try {
    for (;;) {
      const chunk = iterator.next(256);
      if (chunk.length === 0) return;
      for (let i = 1; i < chunk.length; i += 2) yield defined(chunk[i], 'iterator rows come in pairs');
    }
  } finally {
    iterator.close();
  }
}
