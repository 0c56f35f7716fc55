import type { Clock } from '../ports/clock.ts';

/** The process's own clock. */
export const clock: Clock = {
  now: () => performance.now(),
  wall: () => performance.timeOrigin + performance.now(),
};
