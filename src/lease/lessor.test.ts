import { beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '../ports/clock.ts';
import { MemoryEngine } from '../storage/memory-engine.ts';
import { errors } from '../wire/errors.ts';
import { Lessor, MAX_LEASE_TTL, minimumLeaseTtl, REVOKE_RATE } from './lessor.ts';

class TestClock implements Clock {
  ms = 1_000_000;

  now(): number {
    return this.ms;
  }

  wall(): number {
    return this.ms;
  }
}

let engine: MemoryEngine;
let clock: TestClock;

beforeEach(() => {
  engine = new MemoryEngine();
  clock = new TestClock();
});

function open(options: { checkpoints?: boolean } = {}): Lessor {
  return new Lessor({ engine, clock, minTtl: 2, checkpoints: options.checkpoints === true });
}

function save(lessor: Lessor): void {
  const batch = engine.batch();
  lessor.stage(batch);
  engine.write(batch);
}

const key = (text: string): Buffer => Buffer.from(text, 'latin1');
const texts = (keys: Buffer[]): string[] => keys.map((bytes) => bytes.toString('latin1'));

describe('granting', () => {
  test('refuses id 0, a taken id and too long a time, and lengthens too short a one', () => {
    const lessor = open();
    expect(lessor.grant(0n, 10)).toBe(errors.LeaseNotFound);
    expect(lessor.grant(1n, MAX_LEASE_TTL + 1)).toBe(errors.LeaseTTLTooLarge);
    expect(lessor.grant(1n, MAX_LEASE_TTL)).toMatchObject({ id: 1n, ttl: MAX_LEASE_TTL });
    expect(lessor.grant(1n, 10)).toBe(errors.LeaseExist);
    expect(lessor.grant(2n, -5)).toMatchObject({ ttl: 2 });
  });

  test('takes the shortest time from the election timeout as etcd does', () => {
    expect(minimumLeaseTtl({ electionTicks: 10, tickMs: 100 })).toBe(2);
    expect(minimumLeaseTtl({ electionTicks: 50, tickMs: 100 })).toBe(8);
    expect(minimumLeaseTtl({ electionTicks: 5, tickMs: 10 })).toBe(1);
  });

  test('is kept across a restart, negative ids too', () => {
    const lessor = open();
    lessor.grant(-7n, 30);
    lessor.grant(0x7fff_ffff_ffff_ffffn, 40);
    save(lessor);
    const again = open();
    expect(again.lookup(-7n)).toMatchObject({ ttl: 30 });
    expect(again.lookup(0x7fff_ffff_ffff_ffffn)).toMatchObject({ ttl: 40 });
    again.remove(-7n);
    save(again);
    expect(open().size).toBe(1);
  });
});

describe('keys', () => {
  test('come in byte order from rows and the running batch together', () => {
    const lessor = open();
    lessor.grant(5n, 10);
    for (const name of ['b', 'a', '\xff', 'c\0']) lessor.attach(5n, key(name));
    save(lessor);
    lessor.detach(5n, key('b'));
    lessor.attach(5n, key('aa'));
    expect(texts(lessor.keysOf(5n))).toEqual(['a', 'aa', 'c\0', '\xff']);
    save(lessor);
    expect(texts(open().keysOf(5n))).toEqual(['a', 'aa', 'c\0', '\xff']);
    expect(lessor.keysOf(6n)).toEqual([]);
  });

  test('of neighbouring ids stay apart', () => {
    const lessor = open();
    for (const id of [0xffn, 0x100n, -1n]) {
      lessor.grant(id, 10);
      lessor.attach(id, key(`of ${id}`));
    }
    save(lessor);
    for (const id of [0xffn, 0x100n, -1n]) expect(texts(lessor.keysOf(id))).toEqual([`of ${id}`]);
  });
});

describe('expiry', () => {
  test('is the primary’s alone and is reported again when the revoke does not come', () => {
    const lessor = open();
    lessor.grant(1n, 10);
    clock.ms += 60_000;
    expect(lessor.expired()).toEqual([]);
    lessor.promote(1000);
    clock.ms += 10_999;
    expect(lessor.expired()).toEqual([]);
    clock.ms += 1;
    expect(lessor.expired()).toEqual([1n]);
    expect(lessor.expired()).toEqual([]);
    clock.ms += 3000;
    expect(lessor.expired()).toEqual([1n]);
    lessor.remove(1n);
    clock.ms += 3000;
    expect(lessor.expired()).toEqual([]);
  });

  test('is put off by renewing, and lets nobody renew once it is due', () => {
    const lessor = open();
    expect(lessor.renew(1n)).toBe('not-primary');
    lessor.promote(0);
    expect(lessor.renew(1n)).toBe('not-found');
    lessor.grant(1n, 10);
    clock.ms += 9000;
    expect(lessor.renew(1n)).toEqual({ ttl: 10 });
    clock.ms += 9000;
    expect(lessor.remainingMs(1n)).toBe(1000);
    expect(lessor.expired()).toEqual([]);
    clock.ms += 1000;
    expect(lessor.renew(1n)).toBe('expired');
    const reasons: string[] = [];
    lessor.whenGone(1n, (reason) => reasons.push(reason));
    lessor.remove(1n);
    lessor.grant(2n, 10);
    lessor.whenGone(2n, (reason) => reasons.push(reason));
    lessor.demote();
    expect(reasons).toEqual(['revoked', 'demoted']);
    expect(lessor.remainingMs(2n)).toBe(Number.POSITIVE_INFINITY);
  });

  test('of a pile is spread after a change of leader', () => {
    const lessor = open();
    for (let id = 1n; id <= 5000n; id++) lessor.grant(id, 10);
    lessor.promote(0);
    const perSecond: number[] = [];
    for (let second = 0; second < 30; second++) {
      clock.ms += 1000;
      let count = 0;
      for (;;) {
        const ids = lessor.expired(100);
        if (ids.length === 0) break;
        for (const id of ids) lessor.remove(id);
        count += ids.length;
      }
      perSecond.push(count);
    }
    expect(perSecond.reduce((a, b) => a + b)).toBe(5000);
    expect(Math.max(...perSecond)).toBeLessThanOrEqual(REVOKE_RATE);
  });
});

describe('checkpoints', () => {
  test('come due every five minutes and shorten the time after a restart', () => {
    const lessor = open({ checkpoints: true });
    lessor.promote(0);
    lessor.grant(1n, 3600);
    lessor.grant(2n, 60);
    save(lessor);
    clock.ms += 5 * 60 * 1000 - 1;
    expect(lessor.dueCheckpoints()).toEqual([]);
    clock.ms += 1;
    expect(lessor.dueCheckpoints()).toEqual([{ id: 1n, remainingTtl: 3300 }]);
    lessor.checkpoint(1n, 3300);
    lessor.checkpoint(99n, 5);
    save(lessor);
    const again = open({ checkpoints: true });
    again.promote(0);
    expect(again.remainingMs(1n)).toBe(3_300_000);
    expect(again.renew(1n)).toBe('checkpointed');
    again.checkpoint(1n, 0);
    expect(again.renew(1n)).toEqual({ ttl: 3600 });
    expect(again.remainingMs(1n)).toBe(3_600_000);
  });
});

test('lists those that expire first in front', () => {
  const lessor = open();
  lessor.promote(0);
  lessor.grant(1n, 30);
  lessor.grant(2n, 10);
  lessor.grant(3n, 20);
  expect(lessor.list().map(({ id }) => id)).toEqual([2n, 3n, 1n]);
});
