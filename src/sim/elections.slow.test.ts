import { describe, expect, it, vi } from 'vitest';
import { None } from '../raft/types.ts';
import type { Partition, PartitionScene } from './partitions.ts';
import { type SimulationOptions, type SimulationResult, simulate } from './simulation.ts';

const SEEDS = 10;

/** Ten histories take 5 s of processor time. */
vi.setConfig({ testTimeout: 120_000 });
/** Each simulation has as many times of trouble. */
const TIMES = 3;
/** Rounds of 400 ms. */
const KILL_ROUND = 2;
const START_ROUND = 9;
const LAST_ROUND = 11;
/** Messages take up to that long on a loaded machine. */
const LOADED_DELAY_MS = 60;

/** All seeds, with the troubles made anew for each. */
async function forSeeds(
  options: Omit<SimulationOptions, 'seed' | 'minutes'>,
  trouble: () => { partition: Partition; check: (result: SimulationResult) => void },
): Promise<void> {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const { partition, check } = trouble();
    const result = await simulate({ ...options, seed, minutes: 0, partition });
    const { failure, trace } = result;
    if (failure !== undefined) expect.fail(`seed ${seed}: ${failure}\n${trace.slice(-40).join('\n')}`);
    check(result);
  }
}

function everyRound(apply: Partition['apply']): Partition {
  return { name: 'elections', apply };
}

describe.each([true, false])('a healthy leader, pre-vote %s', (preVote) => {
  it.each([3, 5])('leads on when all its connections are cut: %i members', async (members) => {
    await forSeeds({ members, settings: { preVote } }, () => ({
      partition: everyRound(({ network, leader }) => network.closeConnections(leader.id)),
      check: ({ leaders }) => expect(leaders).toBe(1),
    }));
  });

  it.each([3, 5])('leads on when those of one follower are cut: %i members', async (members) => {
    await forSeeds({ members, settings: { preVote } }, () => ({
      partition: everyRound(({ network, followers }) => network.closeConnections(followers[0]?.id ?? None)),
      check: ({ leaders }) => expect(leaders).toBe(1),
    }));
  });
});

it('a healthy leader that one follower takes for gone leads on', async () => {
  await forSeeds({ members: 3 }, () => ({
    // Its own new connections to the leader get no answer for a while, and the messages of the leader are held up.
    partition: everyRound(({ network, leader, followers }, round) => {
      const [follower] = followers;
      if (follower === undefined) throw new Error('a cluster has followers');
      if (round % 4 === 0) {
        network.closeConnections(leader.id);
        network.cut(leader.id, follower.id);
      }
      if (round % 4 === 2) network.heal();
    }),
    check: ({ leaders }) => expect(leaders).toBe(1),
  }));
});

/** Kills the leader a few times, and notes how long there was no other, and how many terms that took. */
class Kills {
  readonly tookMs: number[] = [];
  readonly terms: number[] = [];
  readonly #delayMs: number;

  constructor(delayMs: number) {
    this.#delayMs = delayMs;
  }

  readonly partition = everyRound((scene, round) => {
    const { network, leader } = scene;
    if (round === 0) network.weather = { ...network.weather, delayMs: this.#delayMs };
    if (round === KILL_ROUND) this.#kill(scene);
    if (round === START_ROUND && !leader.isRunning) leader.start();
    if (round === LAST_ROUND) network.heal();
  });

  #kill({ leader, followers }: PartitionScene): void {
    const { member } = leader;
    // Another one may have been elected before.
    if (member?.isLeader !== true) return;
    const { term, clock } = member;
    const killedMs = clock.now();
    let isOver = false;
    for (const follower of followers)
      follower.member?.onLeadership((_lead, isLeader) => {
        if (!isLeader || isOver || follower.member === undefined) return;
        isOver = true;
        this.tookMs.push(clock.now() - killedMs);
        this.terms.push(follower.member.term - term);
      });
    leader.crash(false);
  }
}

describe('a leader that is killed', () => {
  it.each([
    [3, 2],
    [5, 2],
    [3, LOADED_DELAY_MS],
    [5, LOADED_DELAY_MS],
  ])('is followed without a split vote: %i members, messages of up to %i ms', async (members, delayMs) => {
    const tookMs: number[] = [];
    const terms: number[] = [];
    await forSeeds({ members }, () => {
      const kills = new Kills(delayMs);
      const check = (): void => {
        tookMs.push(...kills.tookMs);
        terms.push(...kills.terms);
      };
      return { partition: kills.partition, check };
    });
    expect(tookMs.length).toBeGreaterThan((SEEDS * TIMES) / 2);
    expect(terms.filter((count) => count !== 1)).toEqual([]);
    // An election timeout of the default configuration is what the failover is to save.
    expect(Math.max(...tookMs)).toBeLessThan(1000);
  });
});
