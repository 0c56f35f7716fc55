import { expect, test } from 'vitest';
import { errors } from '../wire/errors.ts';
import { Leadership } from './leadership.ts';
import type { ReadWaiter } from './read-queue.ts';

class Stage {
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

test('a leader whose clock ticks is sure', async () => {
  const stage = new Stage();
  for (let tick = 0; tick < 10; tick += 1) stage.pass(110);
  expect(stage.leadership.isSure).toBe(true);
  expect(await stage.leadership.ensure()).toBe(true);
  expect(stage.reads).toEqual([]);
});

test('after a stall the others are asked, also when the late tick comes first', async () => {
  const stage = new Stage();
  stage.now += 1000;
  expect(stage.leadership.isSure).toBe(false);
  stage.leadership.ticked();
  expect(stage.leadership.isSure).toBe(false);
  const ensured = stage.leadership.ensure();
  stage.reads[0]?.readable();
  expect(await ensured).toBe(true);
  expect(stage.leadership.isSure).toBe(true);
});

test('it may turn out that another leads, or that nobody can tell', async () => {
  const stage = new Stage();
  stage.pass(1000);
  const unknown = stage.leadership.ensure();
  stage.reads[0]?.failed(errors.Timeout);
  expect(await unknown).toBe(false);
  const lost = stage.leadership.ensure();
  stage.isLeader = false;
  stage.reads[1]?.readable();
  expect(await lost).toBe(false);
});
