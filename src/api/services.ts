import { registerKv } from './kv.ts';
import type { ServiceContext } from './service-context.ts';

/** Registers every service of the client port. */
export function registerServices(context: ServiceContext): void {
  registerKv(context);
}
