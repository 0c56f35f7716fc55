import type { Method } from '../harness/rpc-client.ts';
import type { Generic } from './auth-side.ts';

/** One request of a random run. */
export interface AuthStep {
  readonly label: string;
  readonly method: Generic;
  readonly request: unknown;
  /** The user that mostly sends it. */
  readonly by: 'root' | 'anybody';
  /** For endless streams: only the first response is compared. */
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
