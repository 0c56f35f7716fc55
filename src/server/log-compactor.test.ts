import { describe, expect, it, type Mock, vi } from 'vitest';
import { Metrics } from '../metrics/metrics.ts';
import { MemoryStorage } from '../raft/memory-storage.ts';
import type { LogStore } from '../ports/log-store.ts';
import type { Consensus } from './consensus.ts';
import { LogCompactor, type LogCompactorOptions } from './log-compactor.ts';
import { LocalRaftLog } from './raft-core.ts';

const confState = { voters: [1n, 2n], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };

function keeper(
  isAlone = false,
  syncLog: () => Promise<void> = () => Promise.resolve(),
  catchupBytes = 0,
): {
  keeper: LogCompactor;
  memory: MemoryStorage;
  metrics: Metrics;
  /** The applied index that raft knows. */
  node: { applied: number; term: number; matches: number[] };
  applied: { index: number };
  release: Mock;
  log: { unreleasedBytes: number };
  apply: (index: number, raftApplied?: number) => Promise<void>;
} {
  const memory = new MemoryStorage();
  const metrics = new Metrics();
  const node = { applied: 0, term: 1, matches: [] as number[] };
  const status = () => ({
    hardState: { term: node.term },
    progress: new Map(node.matches.map((match, id) => [id, { match }])),
  });
  const applied = { index: 0, term: 1, confState };
  const release = vi.fn(() => Promise.resolve());
  const log = { release, unreleasedBytes: 0 };
  const consensus = {
    get applied() {
      return node.applied;
    },
    status: status as unknown as Consensus['status'],
  };
  const options = {
    applied,
    log: new LocalRaftLog({ memory, store: log as unknown as LogStore, consensus, catchupBytes }),
    releasedIndex: 0,
    engine: { syncLog },
    snapshotCount: 10,
    catchupEntries: 2,
    isAlone: () => isAlone,
    clock: { now: () => 0 },
    metrics,
    logger: { info: () => undefined },
    failed: (error: Error) => {
      throw error;
    },
  };
  const made = new LogCompactor(options as unknown as LogCompactorOptions);
  let releases = 0;
  const apply = async (index: number, raftApplied = index): Promise<void> => {
    node.applied = raftApplied;
    memory.append(
      Array.from({ length: index - applied.index }, (_, at) => ({
        type: 0 as const,
        term: 1,
        index: applied.index + at + 1,
        data: Buffer.from('x'),
      })),
    );
    applied.index = index;
    made.applied();
    releases += 1;
    await vi.waitFor(() => expect(release).toHaveBeenCalledTimes(releases));
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { keeper: made, memory, metrics, node, applied, release, log, apply };
}

// A start finds entries before the last release, and counted them as new ones.
it('a restarted member releases the log after as many entries as before the restart', () => {
  const release = vi.fn(() => new Promise<void>(() => undefined));
  const applied = { index: 24, term: 1, confState };
  const options = {
    applied,
    log: { release, unreleasedBytes: 0, firstIndex: 1 },
    releasedIndex: 20,
    engine: { syncLog: () => new Promise<void>(() => undefined) },
    snapshotCount: 10,
    isAlone: () => false,
    clock: { now: vi.fn(() => 0) },
  };
  const made = new LogCompactor(options as unknown as LogCompactorOptions);
  made.applied();
  expect(options.clock.now).not.toHaveBeenCalled();
  applied.index = 30;
  made.applied();
  expect(options.clock.now).toHaveBeenCalled();
});

describe('the log in memory', () => {
  it('keeps the entries that slow followers may need', async () => {
    const { memory, metrics, apply } = keeper();
    await apply(10);
    expect(memory.firstIndex()).toBe(9);
    expect([metrics.disk.snapFsync.count, metrics.disk.snapSaveTotal.count]).toEqual([1, 1]);
  });

  it('is not compacted while a snapshot is being sent', async () => {
    const { keeper: made, memory, apply } = keeper();
    await apply(10);
    const letGoFirst = made.hold();
    const letGoSecond = made.hold();
    await apply(20);
    letGoFirst();
    letGoFirst();
    await apply(30);
    expect(memory.firstIndex()).toBe(9);
    letGoSecond();
    await apply(40);
    expect(memory.firstIndex()).toBe(39);
  });

  // After a restart with a long log, entries after raft's own applied index were compacted. Raft then requested them,
  // and the process ended.
  it.each([false, true])(
    'keeps entries after the applied index of raft; single member: %s',
    async (isAlone) => {
      const { memory, node, apply } = keeper(isAlone);
      await apply(2000, 3);
      expect(memory.firstIndex()).toBeLessThanOrEqual(4);
      expect(memory.entries(4, 2001, Infinity)).toHaveLength(1997);
      node.applied = 2000;
      await apply(2010);
      expect(memory.firstIndex()).toBeGreaterThan(2000);
    },
  );

  // 10,000 entries of 64 KB between two releases were 640 MB, which a start after a crash read and checked.
  it('is released before the number of entries when it grows by many bytes', async () => {
    const { release, log, apply } = keeper();
    await apply(10);
    log.unreleasedBytes = 16 << 20;
    await apply(12);
    expect(release).toHaveBeenLastCalledWith(expect.objectContaining({ index: 12 }));
  });

  // 512 entries of 1.2 MB were 600 MB.
  it('is not kept in memory by an only member after it grew by many bytes', async () => {
    const { memory, log, apply } = keeper(true);
    log.unreleasedBytes = 16 << 20;
    await apply(4);
    expect(memory.firstIndex()).toBe(5);
  });

  // The snapshot is for a member that was removed meanwhile.
  it('is not kept in memory by an only member while a snapshot is being sent', async () => {
    const { keeper: made, memory, apply } = keeper(true);
    made.hold();
    await apply(10);
    expect(memory.firstIndex()).toBe(11);
  });

  describe('of a leader whose member lags', () => {
    /** Enough for about a hundred entries of one byte. */
    const BYTES = 20_000;
    const leader = () => keeper(false, undefined, BYTES);

    it('keeps the entries that the member lacks', async () => {
      const { memory, node, apply } = leader();
      node.matches = [30, 7, 30];
      await apply(30);
      expect(memory.firstIndex()).toBe(8);
      node.matches = [60, 55, 60];
      await apply(60);
      expect(memory.firstIndex()).toBe(56);
      node.matches = [80, 80, 80];
      await apply(80);
      expect(memory.firstIndex()).toBe(79);
    });

    it('keeps no more than the limit, and then nothing more for that member', async () => {
      const { memory, node, apply } = leader();
      node.matches = [50, 7, 50];
      await apply(50);
      expect(memory.firstIndex()).toBe(8);
      await apply(200);
      expect(memory.firstIndex()).toBe(199);
      await apply(220);
      expect(memory.firstIndex()).toBe(219);
    });

    it('keeps its entries since the election for a member that has not answered yet', async () => {
      const { memory, node, apply } = leader();
      await apply(20);
      expect(memory.firstIndex()).toBe(19);
      node.term = 2;
      node.matches = [40, 40, 0];
      await apply(40);
      expect(memory.firstIndex()).toBe(19);
      await apply(200);
      await apply(220);
      expect(memory.firstIndex()).toBe(219);
    });
  });

  it('takes no step back when a snapshot is installed while the log is being released', async () => {
    let synced: () => void = () => undefined;
    const { memory, node, apply, applied, release } = keeper(
      false,
      () => new Promise((resolve) => (synced = resolve)),
    );
    const released = apply(10);
    memory.applySnapshot({ data: undefined, metadata: { confState, index: 100, term: 3 } });
    applied.index = node.applied = 100;
    synced();
    await released;
    // The real log ignores a snapshot record that is older than its newest.
    expect(release).toHaveBeenCalledWith({ index: 10, term: 1, confState });
    expect([memory.firstIndex(), memory.lastIndex()]).toEqual([101, 100]);
    expect(memory.snapshot()).toMatchObject({ metadata: { index: 100, term: 3 } });
  });
});
