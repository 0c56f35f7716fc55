import { type AuthInfo, NOBODY } from '../auth/auth-store.ts';
import { errors } from '../wire/errors.ts';
import type { ServiceContext } from './service-context.ts';

/** Requires any user, if auth is enabled. @throws EtcdError */
export function requireUser({ member }: ServiceContext, who: AuthInfo | undefined): void {
  if (member.auth.isEnabled && who === undefined) throw errors.UserEmpty;
}

/** Requires the root role, if auth is enabled. @throws EtcdError */
export function requireAdmin({ member }: ServiceContext, who: AuthInfo | undefined): void {
  const refused = member.auth.checkAdmin(who ?? NOBODY);
  if (refused !== undefined) throw refused;
}
