/**
 * Rows of the `auth` column. The key prefixes are the names of etcd's buckets:
 *
 * - `auth/authEnabled`: one byte, 0 or 1
 * - `auth/authRevision`: 8 bytes, big-endian
 * - `authUsers/` + name: authpb.User
 * - `authRoles/` + name: authpb.Role
 */
export const rows = {
  enabled: Buffer.from('auth/authEnabled'),
  revision: Buffer.from('auth/authRevision'),
  users: 'authUsers/',
  roles: 'authRoles/',
} as const;

export function userRow(name: string): Buffer {
  return Buffer.from(rows.users + name);
}

export function roleRow(name: string): Buffer {
  return Buffer.from(rows.roles + name);
}
