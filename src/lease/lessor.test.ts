import { runSteps } from '../lib/steps.ts';
import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryEngine } from '../storage/memory-engine.ts';
import { errors } from '../wire/errors.ts';
import { Lessor, MAX_LEASE_TTL, minimumLeaseTtl, REVOKE_RATE } from './lessor.ts';
import { promotionCases } from './promotion.cases.ts';
import { promoteWholly, TestClock } from './testing/test-clock.ts';

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
  it('refuses ID 0, an ID in use and a TTL that is too long, and raises a TTL that is too short', () => {
    const lessor = open();
    expect(lessor.grant(0n, 10)).toBe(errors.LeaseNotFound);
    expect(lessor.grant(1n, MAX_LEASE_TTL + 1)).toBe(errors.LeaseTTLTooLarge);
    expect(lessor.grant(1n, MAX_LEASE_TTL)).toMatchObject({ id: 1n, ttl: MAX_LEASE_TTL });
    expect(lessor.grant(1n, 10)).toBe(errors.LeaseExist);
    expect(lessor.grant(2n, -5)).toMatchObject({ ttl: 2 });
  });

  it('derives the minimum TTL from the election timeout as etcd does', () => {
    expect(minimumLeaseTtl({ electionTicks: 10, tickMs: 100 })).toBe(2);
    expect(minimumLeaseTtl({ electionTicks: 50, tickMs: 100 })).toBe(8);
    expect(minimumLeaseTtl({ electionTicks: 5, tickMs: 10 })).toBe(1);
  });

  it('survives a restart, also with a negative ID', () => {
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
  // One call of an iterator reads at most 256 KB.
  it('are counted up to a number, also if they are long', () => {
    const lessor = open();
    lessor.grant(1n, 10);
    for (let n = 0; n < 300; n += 1) lessor.attach(1n, key(String(n).padStart(2_000, '0')));
    save(lessor);
    expect(lessor.hasMoreKeysThan(1n, 299)).toBe(true);
    expect(lessor.hasMoreKeysThan(1n, 300)).toBe(false);
    lessor.attach(1n, key('new'));
    expect(lessor.hasMoreKeysThan(1n, 300)).toBe(true);
  });

  it('are read in byte order from rows and the current batch together', () => {
    const lessor = open();
    lessor.grant(5n, 10);
    for (const name of ['b', 'a', '\xff', 'c\0']) lessor.attach(5n, key(name));
    save(lessor);
    lessor.detach(5n, key('b'));
    lessor.attach(5n, key('aa'));
    expect(texts(runSteps(lessor.keysOf(5n)))).toEqual(['a', 'aa', 'c\0', '\xff']);
    save(lessor);
    expect(texts(runSteps(open().keysOf(5n)))).toEqual(['a', 'aa', 'c\0', '\xff']);
    expect(runSteps(lessor.keysOf(6n))).toEqual([]);
  });

  it('of neighbouring IDs do not mix', () => {
    const lessor = open();
    for (const id of [0xffn, 0x100n, -1n]) {
      lessor.grant(id, 10);
      lessor.attach(id, key(`of ${id}`));
    }
    save(lessor);
    for (const id of [0xffn, 0x100n, -1n]) expect(texts(runSteps(lessor.keysOf(id)))).toEqual([`of ${id}`]);
  });
});

describe('expiry', () => {
  it('happens only on the primary and is reported again if no revoke follows', () => {
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

  it('is postponed by a renewal; an expired lease cannot be renewed', () => {
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

  it('of many leases at the same time is spread after a change of leader', () => {
    const lessor = open();
    for (let id = 1n; id <= 5000n; id++) lessor.grant(id, 10);
    promoteWholly(lessor);
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

promotionCases(20_000n);

describe('checkpoints', () => {
  it('are due every five minutes and shorten the remaining time after a restart', () => {
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

it('lists leases by expiry, the earliest first', () => {
  const lessor = open();
  lessor.promote(0);
  lessor.grant(1n, 30);
  lessor.grant(2n, 10);
  lessor.grant(3n, 20);
  expect(runSteps(lessor.list())).toMatchObject([{ id: 2n }, { id: 3n }, { id: 1n }]);
});

describe('reading the leases again', () => {
  it('takes a step for each thousand of them, and changes nothing before the last step', () => {
    const lessor = open();
    for (let id = 1n; id <= 5000n; id += 1n) lessor.grant(id, 60);
    save(lessor);
    promoteWholly(lessor);
    lessor.grant(5001n, 60);
    const steps = lessor.recover();
    let count = 0;
    while (steps.next().done !== true) {
      count += 1;
      expect(lessor.isPrimary).toBe(true);
      expect(lessor.size).toBe(5001);
    }
    expect(count).toBeGreaterThan(3);
    expect(lessor.isPrimary).toBe(false);
    expect(lessor.size).toBe(5000);
  });
});
