import { type AuthInfo, NOBODY } from '../auth/auth-store.ts';
import { errors } from '../wire/errors.ts';
import type { ServiceContext } from './service-context.ts';

/** For what any user may see, but nobody without a name. @throws EtcdError */
export function requireSomebody({ member }: ServiceContext, who: AuthInfo | undefined): void {
  if (member.auth.isEnabled && who === undefined) throw errors.UserEmpty;
}

/** For what root's role alone may do. @throws EtcdError */
export function requireAdmin({ member }: ServiceContext, who: AuthInfo | undefined): void {
  const refused = member.auth.checkAdmin(who ?? NOBODY);
  if (refused !== undefined) throw refused;
}
