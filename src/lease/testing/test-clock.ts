import type { Clock } from '../../ports/clock.ts';
import type { Lessor } from '../lessor.ts';

export class TestClock implements Clock {
  ms = 1_000_000;

  now(): number {
    return this.ms;
  }

  wall(): number {
    return this.ms;
  }
}

export function promoteWholly(lessor: Lessor): void {
  if (lessor.promote(0)) return;
  while (!lessor.promoteMore());
}
