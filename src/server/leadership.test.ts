import { expect, it } from 'vitest';
import { errors } from '../wire/errors.ts';
import { Leadership } from './leadership.ts';
import type { ReadWaiter } from './read-queue.ts';

class Fixture {
  now = 0;
  isLeader = true;
  readonly reads: ReadWaiter[] = [];
  readonly clock = { now: () => this.now, wall: () => this.now };
  readonly config = { heartbeatIntervalMs: 100 };
  readonly leadership = new Leadership(this);

  read(waiter: ReadWaiter): void {
    this.reads.push(waiter);
  }

  pass(ms: number): void {
    this.now += ms;
    this.leadership.ticked();
  }
}

it('a leader with regular ticks is sure', async () => {
  const fixture = new Fixture();
  for (let tick = 0; tick < 10; tick += 1) fixture.pass(110);
  expect(fixture.leadership.isSure).toBe(true);
  expect(await fixture.leadership.ensure()).toBe(true);
  expect(fixture.reads).toEqual([]);
});

it('after a stall a quorum is asked, also when the late tick comes first', async () => {
  const fixture = new Fixture();
  fixture.now += 1000;
  expect(fixture.leadership.isSure).toBe(false);
  fixture.leadership.ticked();
  expect(fixture.leadership.isSure).toBe(false);
  const ensured = fixture.leadership.ensure();
  fixture.reads[0]?.readable();
  expect(await ensured).toBe(true);
  expect(fixture.leadership.isSure).toBe(true);
});

it('the check is negative when another member leads or no quorum answers', async () => {
  const fixture = new Fixture();
  fixture.pass(1000);
  const unknown = fixture.leadership.ensure();
  fixture.reads[0]?.failed(errors.Timeout);
  expect(await unknown).toBe(false);
  const lost = fixture.leadership.ensure();
  fixture.isLeader = false;
  fixture.reads[1]?.readable();
  expect(await lost).toBe(false);
});
