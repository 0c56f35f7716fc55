import type { Clock } from '../ports/clock.ts';

/** The real clock. The wall time is read from the system each time, because it can be set while the server runs. */
export const clock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
};
