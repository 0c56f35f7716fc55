import { describe, expect, it } from 'vitest';
import type { Status } from '../raft/status.ts';
import { StuckLog } from './stuck-log.ts';

const TICKS = 10;

class Fixture {
  readonly config = { electionTicks: TICKS, heartbeatIntervalMs: 100 };
  readonly metrics = { server: { stuckLogHandovers: 0 } };
  isLeader = true;
  readonly applied = { index: 5 };
  readonly matches = new Map([
    [1n, 5],
    [2n, 7],
    [3n, 8],
  ]);
  readonly connected = new Set([2n, 3n]);
  readonly handedTo: bigint[] = [];
  tick: () => void = () => undefined;
  readonly scheduler = {
    every: (_ms: number, task: () => void) => {
      this.tick = task;
      return () => undefined;
    },
  };
  readonly consensus = {
    appendsBegun: 0,
    appendsDone: 0,
    committed: 5,
    applied: 5,
    status: () => this.#status(),
    transferLeader: (id: bigint) => void this.handedTo.push(id),
  };

  constructor() {
    const nothing = (): void => undefined;
    const peers = { activeSince: (id: bigint) => (this.connected.has(id) ? 1 : undefined) };
    new StuckLog(this, peers, { debug: nothing, info: nothing, warn: nothing, error: nothing });
  }

  ticks(count: number): void {
    for (let tick = 0; tick < count; tick += 1) this.tick();
  }

  #status(): Status {
    const progress = [...this.matches].map(
      ([id, match]) => [id, { match, isLearner: false, recentActive: true }] as const,
    );
    const voters = { incoming: new Set(this.matches.keys()), outgoing: new Set() };
    const status = { id: 1n, leadTransferee: 0n, progress: new Map(progress), config: { voters } };
    return status as unknown as Status;
  }
}

describe('a leader whose log is not synced', () => {
  it('transfers to the voter with the most entries after an election timeout, and then pauses', () => {
    const fixture = new Fixture();
    fixture.consensus.appendsBegun = 3;
    fixture.ticks(TICKS);
    expect(fixture.handedTo).toEqual([]);
    fixture.ticks(1);
    expect(fixture.handedTo).toEqual([3n]);
    expect(fixture.metrics.server.stuckLogHandovers).toBe(1);
    fixture.ticks(4 * TICKS);
    expect(fixture.handedTo).toEqual([3n]);
    fixture.ticks(TICKS);
    expect(fixture.handedTo).toEqual([3n, 3n]);
  });

  it('also transfers when committed entries are not applied', () => {
    const fixture = new Fixture();
    fixture.consensus.committed = 6;
    fixture.ticks(TICKS);
    expect(fixture.handedTo).toEqual([]);
    fixture.ticks(1);
    expect(fixture.handedTo).toEqual([3n]);
  });

  it('stays leader while entries are applied slowly, and when the others do not have them', () => {
    const fixture = new Fixture();
    fixture.consensus.committed = 1000;
    fixture.matches.set(2n, 1000);
    for (let tick = 0; tick < 100; tick += 1) {
      if (tick % 5 === 0) fixture.applied.index += 1;
      fixture.ticks(1);
    }
    expect(fixture.handedTo).toEqual([]);
    fixture.matches.set(2n, 7);
    fixture.ticks(5 * TICKS);
    expect(fixture.handedTo).toEqual([]);
  });

  it('stays leader when many syncs all finish in time', () => {
    const fixture = new Fixture();
    for (let tick = 0; tick < 100; tick += 1) {
      fixture.consensus.appendsBegun += 1;
      if (tick % 5 === 0) fixture.consensus.appendsDone = fixture.consensus.appendsBegun - 1;
      fixture.ticks(1);
    }
    expect(fixture.handedTo).toEqual([]);
  });

  it.each([
    ['the others have synced no more', (fixture: Fixture) => fixture.matches.set(2n, 5).set(3n, 5)],
    ['the others are too few', (fixture: Fixture) => fixture.connected.delete(2n)],
    ['it is alone', (fixture: Fixture) => fixture.connected.clear()],
    ['it does not lead', (fixture: Fixture) => (fixture.isLeader = false)],
  ])('stays leader when %s', (_title, arrange) => {
    const fixture = new Fixture();
    arrange(fixture);
    fixture.consensus.appendsBegun = 3;
    fixture.ticks(10 * TICKS);
    expect(fixture.handedTo).toEqual([]);
  });
});
