import { describe, expect, it } from 'vitest';
import { HashJob, hashScope } from '../mvcc/hash.ts';
import { RaftRequestField } from '../server/raft-request.ts';
import { PutRequest, WatchResponse } from '../wire/gen/etcdserverpb.ts';
import type { Partition, PartitionScene } from './partitions.ts';
import { type SimulationResult, simulate } from './simulation.ts';

type Process = PartitionScene['leader'];

/** A trouble comes three times over, for 12 rounds of 400 ms each. */
const TIMES = 3;
const FULL_ROUNDS = 6;

function put(process: Process, key: string, value = ''): void {
  const body = PutRequest.encode({
    ...PutRequest.create(),
    key: Buffer.from(key),
    value: Buffer.from(value),
  });
  const waiter = { settled: () => undefined, failed: () => undefined };
  process.member?.propose(RaftRequestField.put, body, undefined, waiter);
}

async function run(seed: number, apply: Partition['apply']): Promise<SimulationResult> {
  const result = await simulate({ seed, members: 3, minutes: 0, partition: { name: 'store', apply } });
  const { failure, trace } = result;
  if (failure !== undefined) expect.fail(`seed ${seed}: ${failure}\n${trace.slice(-40).join('\n')}`);
  return result;
}

function hashOf({ member }: Process, revision: number): number {
  if (member === undefined) throw new Error('the process runs');
  const job = new HashJob(hashScope(member.store, revision));
  while (!job.step(10_000));
  return job.result().hash;
}

describe('a member whose store has no room', () => {
  it('shows what its store holds until there is room, and then everything', async () => {
    let compared = 0;
    let watched = 0;
    for (let seed = 1; seed <= 5; seed += 1) {
      let shown = 0;
      const seen: number[] = [];
      let stop = (): void => undefined;
      await run(seed, ({ leader, followers }, round) => {
        const [follower] = followers;
        if (follower?.member === undefined || leader.member === undefined) return;
        const { storeFaults, member } = follower;
        const { store } = member;
        if (round === 0) {
          storeFaults.isFull = true;
          shown = store.revision;
          seen.length = 0;
        }
        put(leader, 'aside');
        if (round === FULL_ROUNDS - 1) {
          // The leader has a later state than the follower that answers.
          expect(storeFaults.refusals).toBeGreaterThan(0);
          expect(store.revision).toBeLessThan(leader.member.store.revision);
          expect(store.revision).toBe(store.committedRevision);
          expect(store.revision - shown).toBeLessThanOrEqual(1);
          // A compaction since then changes the hash.
          if (store.compactRevision === leader.member.store.compactRevision) {
            expect(hashOf(follower, store.revision)).toBe(hashOf(leader, store.revision));
            compared += 1;
          }
          const receiver = {
            deliver: ({ fields }: { readonly fields: readonly Buffer[] }) => {
              for (const { kv } of WatchResponse.decode(Buffer.concat([...fields])).events)
                if (kv !== undefined) seen.push(kv.modRevision);
              return true;
            },
            compacted: () => undefined,
          };
          stop = follower.watch(Buffer.from('aside'), store.revision + 1, receiver);
          storeFaults.isFull = false;
        }
        if (round === FULL_ROUNDS + 5) {
          expect(store.revision).toBeGreaterThan(shown + FULL_ROUNDS - 1);
          expect(seen.length).toBeGreaterThan(FULL_ROUNDS);
          expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b));
          stop();
          watched += 1;
        }
      });
    }
    expect(compared).toBeGreaterThan((5 * TIMES) / 2);
    expect(watched).toBe(5 * TIMES);
  });
});

describe('EIO', () => {
  /** Each round the next call fails; the process is started again after a second. */
  const CALLS = 36;

  it.each(['log', 'store'] as const)(
    'of the %s, whichever call it is, ends that member with a message; the others go on',
    async (disk) => {
      for (let seed = 1; seed <= 2; seed += 1) {
        let call = 0;
        let failed = 0;
        const { trace, crashes, answered } = await run(seed, ({ leader, followers }, round) => {
          const all = [leader, ...followers];
          for (const process of all) put(process, 'aside');
          if (round % 2 === 1) return;
          const victim = all[call % all.length];
          if (victim?.isRunning !== true) return;
          const faults = disk === 'log' ? victim.disk : victim.storeFaults;
          if (faults.eio.callsLeft !== undefined) return;
          faults.eio.callsLeft = call % CALLS;
          call += 1;
          failed += 1;
        });
        expect(failed).toBeGreaterThan(CALLS / 3);
        const ends = trace.filter((line) => / ends: .*EIO/.test(line));
        expect(ends.length).toBeGreaterThan(0);
        expect(crashes).toBeGreaterThan(CALLS / 6);
        expect(answered).toBeGreaterThan(30);
      }
    },
  );
});
