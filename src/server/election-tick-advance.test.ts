import { describe, expect, it } from 'vitest';
import { ElectionTickAdvance, type ElectionTickAdvanceOptions } from './election-tick-advance.ts';

const silent = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** How often the member 1 asks for an election in its first second, in which no leader is heard from. */
function elections(voters: readonly bigint[], connected: readonly bigint[]): number {
  let count = 0;
  let nowMs = 0;
  const checks = new Set<() => void>();
  const member = {
    config: { preVote: true, initialElectionTickAdvance: true, heartbeatIntervalMs: 100 },
    clock: { now: () => nowMs },
    scheduler: {
      every: (_ms: number, task: () => void) => {
        checks.add(task);
        return () => void checks.delete(task);
      },
    },
    identity: { memberId: 1n },
    hasLeader: false,
    consensus: {
      status: () => ({ config: { voters: { incoming: new Set(voters), outgoing: new Set() } } }),
    },
  };
  new ElectionTickAdvance({
    member: member as unknown as ElectionTickAdvanceOptions['member'],
    peers: {
      activeSince: (id) => (connected.includes(id) ? 0 : undefined),
      activePeers: () => connected.length,
    },
    elect: () => (count += 1),
    logger: silent,
  });
  for (; nowMs < 1000; nowMs += 10) for (const check of checks) check();
  return count;
}

describe('the first election after a start', () => {
  it('is asked for once when a quorum is connected', () => {
    expect(elections([1n, 2n, 3n], [2n])).toBe(1);
    expect(elections([1n, 2n, 3n], [])).toBe(0);
  });

  it('is left to the only voter itself, whose vote may not be on disk yet', () => {
    expect(elections([1n], [])).toBe(0);
    expect(elections([1n], [2n])).toBe(0);
  });

  it('is not asked for by a learner without the only voter', () => {
    expect(elections([2n], [])).toBe(0);
  });
});
