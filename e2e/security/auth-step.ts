import type { Method } from '../harness/rpc-client.ts';
import type { Generic } from './auth-side.ts';

/** One request of a random run. */
export interface AuthStep {
  readonly label: string;
  readonly method: Generic;
  readonly request: unknown;
  /** Who mostly sends it. */
  readonly by: 'root' | 'anybody';
  /** Of streams that go on: only their first answer counts. */
  readonly onlyFirst?: boolean;
}

export function step<Q, R>(
  label: string,
  method: Method<Q, R>,
  request: Q,
  by: AuthStep['by'] = 'anybody',
): AuthStep {
  return { label, method, request, by };
}
