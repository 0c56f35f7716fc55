import type { Clock } from '../ports/clock.ts';

/** The real clock. */
export const clock: Clock = {
  now: () => performance.now(),
  wall: () => performance.timeOrigin + performance.now(),
};
