import { describe, expect, it } from 'vitest';
import type { Status } from '../raft/status.ts';
import { StuckLog } from './stuck-log.ts';

const TICKS = 10;

class Stage {
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
  it('hands over to whoever is furthest after an election timeout, and then not soon again', () => {
    const stage = new Stage();
    stage.consensus.appendsBegun = 3;
    stage.ticks(TICKS);
    expect(stage.handedTo).toEqual([]);
    stage.ticks(1);
    expect(stage.handedTo).toEqual([3n]);
    expect(stage.metrics.server.stuckLogHandovers).toBe(1);
    stage.ticks(4 * TICKS);
    expect(stage.handedTo).toEqual([3n]);
    stage.ticks(TICKS);
    expect(stage.handedTo).toEqual([3n, 3n]);
  });

  it('hands over as well where nothing that is committed gets applied', () => {
    const stage = new Stage();
    stage.consensus.committed = 6;
    stage.ticks(TICKS);
    expect(stage.handedTo).toEqual([]);
    stage.ticks(1);
    expect(stage.handedTo).toEqual([3n]);
  });

  it('leads on where entries are applied, however late, or the others do not have them', () => {
    const stage = new Stage();
    stage.consensus.committed = 1000;
    stage.matches.set(2n, 1000);
    for (let tick = 0; tick < 100; tick += 1) {
      if (tick % 5 === 0) stage.applied.index += 1;
      stage.ticks(1);
    }
    expect(stage.handedTo).toEqual([]);
    stage.matches.set(2n, 7);
    stage.ticks(5 * TICKS);
    expect(stage.handedTo).toEqual([]);
  });

  it('leads on where syncs end in time, however many there are', () => {
    const stage = new Stage();
    for (let tick = 0; tick < 100; tick += 1) {
      stage.consensus.appendsBegun += 1;
      if (tick % 5 === 0) stage.consensus.appendsDone = stage.consensus.appendsBegun - 1;
      stage.ticks(1);
    }
    expect(stage.handedTo).toEqual([]);
  });

  it.each([
    ['the others have synced no more', (stage: Stage) => stage.matches.set(2n, 5).set(3n, 5)],
    ['the others are too few', (stage: Stage) => stage.connected.delete(2n)],
    ['it is alone', (stage: Stage) => stage.connected.clear()],
    ['it does not lead', (stage: Stage) => (stage.isLeader = false)],
  ])('stays where %s', (_title, arrange) => {
    const stage = new Stage();
    arrange(stage);
    stage.consensus.appendsBegun = 3;
    stage.ticks(10 * TICKS);
    expect(stage.handedTo).toEqual([]);
  });
});
