import { setTimeout as sleep } from 'node:timers/promises';
import type { Member } from '../../harness/member.ts';
import type { TestCluster } from '../test-cluster.ts';

/** Longer than an election takes. */
const PAUSE_MS = 2_500;
/** Pause before the next fault. */
const REST_MS = 500;

async function followerOf(cluster: TestCluster): Promise<Member> {
  const leader = await cluster.leader();
  const follower = cluster.members.find((member) => member !== leader);
  if (follower === undefined) throw new Error('the cluster has followers');
  return follower;
}

async function pause(member: Member): Promise<void> {
  member.program.signal('SIGSTOP');
  await sleep(PAUSE_MS);
  member.program.signal('SIGCONT');
}

/** Injects faults into a cluster under load, one after the other. All members run after each fault. */
export const troubles: readonly ((cluster: TestCluster) => Promise<void>)[] = [
  async (cluster) => {
    const leader = await cluster.leader();
    await leader.kill();
    await sleep(REST_MS);
    await leader.start();
  },
  async (cluster) => pause(await cluster.leader()),
  async (cluster) => (await followerOf(cluster)).restart(),
  async (cluster) => cluster.moveLeader(await followerOf(cluster)),
  async (cluster) => (await followerOf(cluster)).restart('SIGKILL'),
  async (cluster) => (await cluster.leader()).restart(),
  async (cluster) => {
    await Promise.all(cluster.members.map((member) => member.kill()));
    await Promise.all(cluster.members.map((member) => member.start()));
  },
  async (cluster) => pause(await followerOf(cluster)),
];

export async function trouble(cluster: TestCluster, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    for (const each of troubles) {
      await sleep(REST_MS);
      await each(cluster);
    }
  }
}
