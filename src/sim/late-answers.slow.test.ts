import { expect, it } from 'vitest';
import { type Message, MessageType } from '../raft/types.ts';
import { RaftRequestField } from '../server/raft-request.ts';
import { PutRequest } from '../wire/gen/etcdserverpb.ts';
import type { PartitionScene } from './partitions.ts';
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

it('a late response to an earlier process does not confirm a read', async () => {
  for (let seed = 1; seed <= 5; seed += 1) {
    const late = new LateAnswers();
    const partition = {
      name: 'late answers',
      apply: (scene: PartitionScene, round: number) => {
        // Reads after the fault do not matter.
        if (round === 0) late.stale = 0;
        late.apply(scene, round);
        if (round === LAST_ROUND) expect(late.stale).toBe(0);
      },
    };
    const { failure, trace } = await simulate({ seed, members: 3, minutes: 0, partition });
    if (failure !== undefined) expect.fail(`seed ${seed}: ${failure}\n${trace.slice(-40).join('\n')}`);
    expect(late.asked).toBe(3);
    expect(late.delivered).toBeGreaterThan(3);
  }
}, 60_000);
