import { type EndpointStatus, endpointStatuses, leaderEndpoint } from '../harness/endpoint-status.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member, type MemberKind, type MemberOptions } from '../harness/member.ts';
import { freePort } from '../harness/ports.ts';
import { eventually } from '../harness/wait.ts';

/** A restarted member is ready when it has caught up. */
const READY_MS = 120_000;

/** Settings of one member, in addition to those of all members. */
export type Placement = Pick<MemberOptions, 'host' | 'prefix' | 'dataDir' | 'flags'> & {
  /** Port of a relay that the other members connect to. */
  readonly relayPort?: number;
  /** The port that the relay leads to. */
  readonly peerPort?: number;
};

/** A cluster of members of both kinds, with the operations of an operator. */
export class TestCluster {
  readonly members: Member[];
  readonly #flags: readonly string[];

  private constructor(members: Member[], flags: readonly string[]) {
    this.members = members;
    this.#flags = flags;
  }

  /**
   * @param environment returns the environment variables of a member by name
   * @param placements settings of the members, in their order
   */
  static async create(
    kinds: readonly MemberKind[],
    flags: readonly string[] = [],
    environment: (name: string) => NodeJS.ProcessEnv = () => ({}),
    placements: readonly Placement[] = [],
  ): Promise<TestCluster> {
    const places: { options: MemberOptions & { name: string }; peerUrl: string }[] = [];
    for (const [at, kind] of kinds.entries()) {
      const { relayPort, peerPort = await freePort(), ...placement } = placements[at] ?? {};
      const peerUrl = `http://${placement.host ?? '127.0.0.1'}:${relayPort ?? peerPort}`;
      places.push({ options: { ...placement, kind, name: `${kind}${at}`, peerPort }, peerUrl });
    }
    const initial = places.map(({ options, peerUrl }) => `${options.name}=${peerUrl}`).join(',');
    const members = await Promise.all(
      places.map(({ options, peerUrl }) =>
        Member.start({
          ...options,
          readyTimeoutMs: READY_MS,
          env: environment(options.name),
          flags: [
            ...[`--initial-cluster=${initial}`, `--initial-advertise-peer-urls=${peerUrl}`],
            ...flags,
            ...(options.flags ?? []),
          ],
        }),
      ),
    );
    return new TestCluster(members, flags);
  }

  get alive(): Member[] {
    return this.members.filter(isAlive);
  }

  /** Returns etcdctl for all running members, or for the given ones. */
  ctl(...members: readonly Member[]): Etcdctl {
    const asked = members.length > 0 ? members : this.alive;
    return new Etcdctl(asked.map(({ endpoint }) => endpoint).join(','));
  }

  statuses(): Promise<EndpointStatus[]> {
    return endpointStatuses(this.ctl());
  }

  leader(): Promise<Member> {
    return eventually('a leader', async () => {
      const leader = leaderEndpoint(await this.statuses());
      return this.members.find(({ endpoint }) => endpoint === leader);
    });
  }

  /** Member ids in hexadecimal, by endpoint. */
  async idOf(member: Member): Promise<string> {
    const line = await this.ctl(member).ok(['endpoint', 'status']);
    return line.split(', ')[1] ?? '';
  }

  async moveLeader(to: Member): Promise<void> {
    const id = await this.idOf(to);
    await eventually(`${to.name} leads`, async () => {
      const leader = await this.leader();
      if (leader === to) return true;
      await this.ctl(leader).run(['move-leader', id]);
      return false;
    });
  }

  /** Adds a learner and starts it. */
  async addLearner(kind: MemberKind, name: string, flags: readonly string[] = []): Promise<Member> {
    const peerPort = await freePort();
    const peerUrl = `http://127.0.0.1:${peerPort}`;
    const answer = await eventually(`${name} is added`, async () => {
      const added = await this.ctl().run(['member', 'add', name, `--peer-urls=${peerUrl}`, '--learner']);
      return added.code === 0 ? added.stdout : undefined;
    });
    const initial = /ETCD_INITIAL_CLUSTER="([^"]+)"/.exec(answer)?.[1] ?? '';
    const member = await Member.start({
      kind,
      name,
      peerPort,
      readyTimeoutMs: READY_MS,
      flags: [`--initial-cluster=${initial}`, '--initial-cluster-state=existing', ...this.#flags, ...flags],
    });
    this.members.push(member);
    return member;
  }

  async promote(member: Member): Promise<void> {
    const id = await this.idOf(member);
    await eventually(`${member.name} is promoted`, async () => {
      const { code } = await this.ctl(await this.leader()).run(['member', 'promote', id]);
      return code === 0;
    });
  }

  async remove(member: Member): Promise<void> {
    const id = await this.idOf(member);
    await eventually(`${member.name} is removed`, async () => {
      const { code, stderr } = await this.ctl(...this.alive.filter((each) => each !== member)).run([
        'member',
        'remove',
        id,
      ]);
      return code === 0 || stderr.includes('member not found');
    });
    this.members.splice(this.members.indexOf(member), 1);
    await member.destroy();
  }

  /** Waits until all members have applied the same entries, and returns their status. */
  async settled(): Promise<readonly string[]> {
    return eventually(
      'equal stores on all members',
      async () => {
        const revisions = (await this.statuses()).map(({ Status }) => Status.header.revision);
        if (new Set(revisions).size > 1) throw new Error(`revisions ${revisions.join(', ')}`);
        // A HashKV request without a revision may return the stored hash of a compaction at revision 0.
        const hashes = await this.ctl().ok(['endpoint', 'hashkv', `--rev=${revisions[0]}`]);
        const stores = hashes
          .trim()
          .split('\n')
          .map((line) => line.split(', ').slice(1).join(', '));
        if (new Set(stores).size === 1 && stores.length === this.members.length) return stores;
        throw new Error(`revisions ${revisions.join(', ')}, hashes\n${hashes}`);
      },
      { timeoutMs: 60_000, everyMs: 200 },
    );
  }

  async destroy(): Promise<void> {
    await Promise.all(this.members.map((member) => member.destroy()));
  }
}

function isAlive(member: Member): boolean {
  try {
    return member.program.alive;
  } catch {
    return false;
  }
}
