import { expect, it } from 'vitest';
import { type Message, MessageType } from '../raft/types.ts';
import { RaftRequestField } from '../server/raft-request.ts';
import { PutRequest } from '../wire/gen/etcdserverpb.ts';
import type { PartitionScene } from './partitions.ts';
import { repeatsReadContexts } from './planted/index.ts';
import type { PlantedBug } from './planted/planted-bug.ts';
import { simulate } from './simulation.ts';

const WRITE = PutRequest.encode({ ...PutRequest.create(), key: Buffer.from('aside') });
/** Rounds of 400 ms. */
const RESTART_ROUND = 4;
const WRITE_ROUND = 6;
const READ_ROUND = 7;
const LATE_ANSWER_ROUND = 8;
const LAST_ROUND = 11;

/**
 * A follower sends ReadIndex to the leader and is killed. The response arrives at its new process, which has sent another
 * ReadIndex and is behind. A write was acknowledged in between.
 */
class LateAnswers {
  readonly #held: (() => void)[] = [];
  #written = false;
  /** Number of reads that were answered before the member had applied the write. */
  stale = 0;
  asked = 0;
  delivered = 0;

  apply({ network, leader, followers }: PartitionScene, round: number): void {
    const [follower] = followers;
    if (follower === undefined) throw new Error('a cluster has followers');
    if (round === 0) {
      network.intercept = (message, answer) => this.#intercept(message, answer, follower.id, true);
    }
    if (round < RESTART_ROUND) this.#read(follower);
    if (round === RESTART_ROUND) {
      follower.crash(false);
      follower.start();
      network.intercept = (message, answer) => this.#intercept(message, answer, follower.id, false);
    }
    if (round === WRITE_ROUND) {
      this.#written = false;
      leader.member?.propose(RaftRequestField.put, WRITE, undefined, {
        settled: () => {
          this.#written = true;
        },
        failed: () => undefined,
      });
    }
    if (round === READ_ROUND) {
      expect(this.#written, 'the write is acknowledged').toBe(true);
      this.#read(follower, () => {
        this.stale += 1;
      });
      this.asked += 1;
    }
    if (round === LATE_ANSWER_ROUND) {
      this.delivered += this.#held.length;
      for (const deliver of this.#held.splice(0)) deliver();
    }
    if (round === LAST_ROUND) network.intercept = undefined;
  }

  #read({ member }: PartitionScene['leader'], readable = (): void => undefined): void {
    member?.read({ readable: () => readable(), failed: () => undefined });
  }

  #intercept(
    message: Message,
    answer: (late: Message) => void,
    follower: bigint,
    holdsAnswers: boolean,
  ): Message | undefined {
    const isAnswer = message.type === MessageType.MsgReadIndexResp;
    if (message.to === follower && isAnswer && holdsAnswers) {
      this.#held.push(() => answer(message));
      return undefined;
    }
    // The new process gets no new entries and no response to its requests.
    if (holdsAnswers) return message;
    if (message.to === follower && (message.type === MessageType.MsgApp || isAnswer)) return undefined;
    return message;
  }
}

/** What a seed finds: reads that were let go too early, or what the checkers say. */
async function run(seed: number, bug?: PlantedBug): Promise<{ stale: number; failure: string | undefined }> {
  let stale = 0;
  const late = new LateAnswers();
  const partition = {
    name: 'late answers',
    apply: (scene: PartitionScene, round: number) => {
      // Reads after the fault do not matter.
      if (round === 0) late.stale = 0;
      late.apply(scene, round);
      if (round === LAST_ROUND) stale += late.stale;
    },
  };
  const options = { seed, members: 3, minutes: 0, partition };
  const { failure } = await simulate(bug === undefined ? options : { ...options, bug });
  if (bug === undefined) {
    expect(late.asked).toBe(3);
    expect(late.delivered).toBeGreaterThan(3);
  }
  return { stale, failure };
}

it('a late response to an earlier process does not confirm a read', async () => {
  for (let seed = 1; seed <= 5; seed += 1) expect(await run(seed)).toEqual({ stale: 0, failure: undefined });
}, 60_000);

it('finds the planted bug of repeated read contexts', async () => {
  // The first one that finds it when this was written.
  const FIRST = 6;
  for (let seed = FIRST; seed < FIRST + 10; seed += 1) {
    const { stale, failure } = await run(seed, repeatsReadContexts);
    if (stale === 0 && failure === undefined) continue;
    if (failure !== undefined) expect(failure).toMatch(/comes before/);
    expect(await run(seed)).toEqual({ stale: 0, failure: undefined });
    return;
  }
  expect.fail('no seed of ten found it');
}, 60_000);
