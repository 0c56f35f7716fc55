import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/lib/seeded-random.ts';
import { type Progress, RequestMaker } from '../differential/requests.ts';
import { StepMaker } from '../differential/steps.ts';
import { type Member, type MemberKind } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';
import { snapshotsReceived } from './snapshots-received.ts';
import { TestCluster } from './test-cluster.ts';

const missing = missingPeers('etcd', 'etcdctl');

/** Of one run, over all members. */
const requests = Number(process.env['KEYSTEAD_MIXED_REQUESTS'] ?? '800');
const PHASES = 10;

const mixes: readonly (readonly [string, readonly MemberKind[]])[] = [
  ['two etcd and one Keystead', ['etcd', 'etcd', 'keystead']],
  ['two Keystead and one etcd', ['keystead', 'keystead', 'etcd']],
];
interface LogLength {
  readonly title: string;
  readonly flags: readonly string[];
  /** Requests after which a member that was away finds its next entry gone from the others' logs; 0 if it never is. */
  readonly outlasting: number;
}

const logLengths: readonly LogLength[] = [
  { title: 'long logs', flags: [], outlasting: 0 },
  {
    title: 'logs so short that members catch up from snapshots',
    flags: ['--snapshot-count=100', '--snapshot-catchup-entries=20'],
    // Somewhat more than a third of the requests become entries.
    outlasting: 500,
  },
];

/** Sends random requests to the members in turn. The differential test checks their responses, not this one. */
class Load {
  readonly #random: SeededRandom;
  readonly #progress: Progress = { revision: 1, compacted: 0 };
  readonly #steps: StepMaker;
  sent = 0;
  answered = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    this.#steps = new StepMaker(this.#random, new RequestMaker(this.#random, this.#progress), this.#progress);
  }

  async run(members: readonly Member[], count: number): Promise<void> {
    const clients = members.map(({ endpoint }) => new RpcClient(endpoint));
    for (let sent = 0; sent < count; sent += 1) {
      const step = this.#steps.next();
      if (crashesEtcd(step.request)) continue;
      this.sent += 1;
      const answer = await step.send(this.#random.pick(clients));
      if (!('messages' in answer)) continue;
      this.answered += 1;
      const [message] = answer.messages as { header?: { revision?: number } }[];
      this.#progress.revision = Math.max(this.#progress.revision, message?.header?.revision ?? 0);
    }
    for (const client of clients) client.close();
  }
}

/**
 * etcd 3.7.1 checks whether the deletes of a transaction overlap its puts, but not for a delete without an upper bound.
 * Such a put with ignore_value or ignore_lease then crashes the process.
 */
function crashesEtcd(request: unknown): boolean {
  const text = JSON.stringify(request, (_, value: unknown) => (typeof value === 'bigint' ? '' : value));
  return (
    text.includes('requestDeleteRange') &&
    (text.includes('"ignoreValue":true') || text.includes('"ignoreLease":true'))
  );
}

/** Returns granted TTL and keys of each lease, from the leader. */
async function leasesOf(cluster: TestCluster, leader: Member): Promise<string[]> {
  await cluster.moveLeader(leader);
  const ctl = cluster.ctl(leader);
  const ids = (await ctl.ok(['lease', 'list'])).split('\n').slice(1).filter(Boolean).toSorted();
  const described: string[] = [];
  for (const id of ids) {
    const text = await ctl.ok(['lease', 'timetolive', id, '--keys']);
    const [, granted, keys] = /granted with TTL\((\d+)s\).*attached keys\(\[(.*)\]\)/s.exec(text) ?? [];
    described.push(`${id} ${granted} ${(keys ?? '').split(' ').toSorted().join(' ')}`);
  }
  return described;
}

describe.skipIf(missing !== undefined)(`clusters of etcd and Keystead together ${missing ?? ''}`, () => {
  for (const [mix, kinds] of mixes) {
    for (const { title, flags, outlasting } of logLengths) {
      describe(`${mix}, ${title}`, () => {
        const load = new Load(
          kinds.length * 100 + flags.length + kinds.filter((kind) => kind === 'etcd').length,
        );
        const part = Math.ceil(requests / PHASES);
        let cluster: TestCluster;
        const ofOtherKind = (kind: MemberKind): Member => {
          const found = cluster.alive.find((member) => member.kind !== kind);
          if (found === undefined) throw new Error('each cluster has members of both kinds');
          return found;
        };
        /** At a revision later than any compaction, whose hash is remembered by those alone that did not restart. */
        const settled = async (): Promise<readonly string[]> => {
          await eventually('a last put', async () => {
            const { code } = await cluster.ctl().run(['put', 'last', 'put']);
            return code === 0;
          });
          return cluster.settled();
        };
        beforeAll(async () => {
          // Keystead keeps more entries than etcd for members that are away. Here they shall need snapshots.
          const noBytes = { ETCD_KEYSTEAD_CATCHUP_BYTES: '0' };
          cluster = await TestCluster.create(kinds, flags, (name) =>
            outlasting > 0 && name.startsWith('keystead') ? noBytes : {},
          );
        });
        afterAll(() => cluster.destroy());

        it('works under any leader', { timeout: 600_000 }, async () => {
          await load.run(cluster.members, part);
          for (const member of cluster.members) {
            await cluster.moveLeader(member);
            await load.run(cluster.members, part);
          }
          for (const user of ['alice', 'bob'])
            await cluster.ctl().ok(['user', 'add', `${user}:password-of-${user}`]);
          await settled();
        });

        it(
          'goes on while each member is killed in turn, and it catches up',
          { timeout: 600_000 },
          async () => {
            // A leader keeps its log for half a minute after a snapshot, so that the next member may need none.
            const received = { etcd: 0, keystead: 0 };
            for (const member of cluster.members) {
              await member.kill();
              await cluster.moveLeader(ofOtherKind(member.kind));
              await load.run(cluster.alive, Math.max(part, outlasting));
              await member.start();
              await settled();
              received[member.kind] += await snapshotsReceived(member);
            }
            if (outlasting === 0) return;
            expect(received.etcd).toBeGreaterThan(0);
            expect(received.keystead).toBeGreaterThan(0);
          },
        );

        it(
          'takes in learners of either kind, makes them voters, and lets them go',
          { timeout: 600_000 },
          async () => {
            for (const kind of ['etcd', 'keystead'] as const) {
              await cluster.moveLeader(ofOtherKind(kind));
              const learner = await cluster.addLearner(kind, `joined-${kind}`);
              await load.run(
                cluster.members.filter((member) => member !== learner),
                part,
              );
              if (outlasting > 0)
                await eventually('the learner got a snapshot', () =>
                  snapshotsReceived(learner).then((count) => count > 0),
                );
              await cluster.promote(learner);
              await load.run(cluster.members, part);
              await settled();
              await cluster.remove(learner);
            }
          },
        );

        it('has the same store and the same users on all members at the end', async () => {
          const stores = await settled();
          const others: unknown[] = [];
          for (const member of cluster.members) {
            const leases = await leasesOf(cluster, member);
            const ctl = cluster.ctl(member);
            others.push({
              leases,
              roles: await ctl.ok(['role', 'list']),
              users: await ctl.ok(['user', 'list']),
            });
          }
          for (const other of others) expect(other).toEqual(others[0]);
          expect(load.answered).toBeGreaterThan(requests / 4);
          console.log(`${mix}, ${title}: ${load.sent} requests, ${load.answered} answered; ${stores[0]}`);
        });
      });
    }
  }
});
