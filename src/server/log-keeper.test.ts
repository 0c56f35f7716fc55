import { describe, expect, it, vi } from 'vitest';
import { MemoryStorage } from '../raft/memory-storage.ts';
import { LogKeeper, type LogKeeperOptions } from './log-keeper.ts';

const confState = { voters: [1n, 2n], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };

function keeper(): { keeper: LogKeeper; memory: MemoryStorage; apply: (index: number) => Promise<void> } {
  const memory = new MemoryStorage();
  const applied = { index: 0, term: 1, confState };
  const release = vi.fn(() => Promise.resolve());
  const options = {
    memory,
    applied,
    loop: { node: { status: () => ({ hardState: { term: 1, vote: 1n, commit: applied.index } }) } },
    log: { append: () => undefined, release },
    engine: { syncLog: () => Promise.resolve() },
    snapshotCount: 10,
    catchupEntries: 2,
    isAlone: () => false,
    logger: { info: () => undefined },
    failed: (error: Error) => {
      throw error;
    },
  };
  const made = new LogKeeper(options as unknown as LogKeeperOptions);
  let releases = 0;
  const apply = async (index: number): Promise<void> => {
    memory.append(
      Array.from({ length: index - applied.index }, (_, at) => ({
        ...{ type: 0 as const, term: 1, index: applied.index + at + 1, data: Buffer.from('x') },
      })),
    );
    applied.index = index;
    made.applied();
    releases += 1;
    await vi.waitFor(() => expect(release).toHaveBeenCalledTimes(releases));
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { keeper: made, memory, apply };
}

describe('the log in memory', () => {
  it('keeps the entries that slow followers may ask for', async () => {
    const { memory, apply } = keeper();
    await apply(10);
    expect(memory.firstIndex()).toBe(9);
  });

  it('stays whole while a member is being sent a snapshot', async () => {
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
});
