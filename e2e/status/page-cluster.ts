import type { StatusReport } from '../../src/status/report.ts';
import { MoveLeaderRequest, PutRequest, RangeRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV, Maintenance } from '../../src/wire/services.ts';
import { TestCluster } from '../clusters/test-cluster.ts';
import type { Member } from '../harness/member.ts';
import { freePort } from '../harness/ports.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';

/** A cluster of three members, each with a status page. */
export class PageCluster {
  readonly cluster: TestCluster;
  readonly #urls: ReadonlyMap<Member, string>;

  private constructor(cluster: TestCluster, urls: readonly string[]) {
    this.cluster = cluster;
    this.#urls = new Map(cluster.members.map((member, at) => [member, urls[at] ?? '']));
  }

  static async start(flags: readonly string[] = []): Promise<PageCluster> {
    const urls = [1, 2, 3].map(async () => `http://127.0.0.1:${await freePort()}`);
    const found = await Promise.all(urls);
    const cluster = await TestCluster.create(
      ['keystead', 'keystead', 'keystead'],
      flags,
      undefined,
      found.map((url) => ({ flags: [`--keystead-status-urls=${url}`] })),
    );
    return new PageCluster(cluster, found);
  }

  get members(): readonly Member[] {
    return this.cluster.members;
  }

  url(member: Member): string {
    return this.#urls.get(member) ?? '';
  }

  async report(member: Member): Promise<StatusReport> {
    return (await (await fetch(`${this.url(member)}/status.json`)).json()) as StatusReport;
  }

  /** The leader that all running members agree on. */
  leader(): Promise<Member> {
    return eventually('one leader', async () => {
      const reports = await Promise.all(this.cluster.alive.map((member) => this.report(member)));
      const ids = new Set(reports.map(({ leader }) => leader));
      const at = reports.findIndex(({ self, leader }) => self.id === leader);
      return ids.size === 1 ? this.cluster.alive[at] : undefined;
    });
  }

  async follower(): Promise<Member> {
    const leader = await this.leader();
    const found = this.cluster.alive.find((member) => member !== leader);
    if (found === undefined) throw new Error('there is a follower');
    return found;
  }

  async moveLeader(to: Member): Promise<void> {
    const { self } = await this.report(to);
    await eventually(`${to.name} leads`, async () => {
      const leader = await this.leader();
      if (leader === to) return true;
      const request = MoveLeaderRequest.create({ targetId: BigInt(`0x${self.id}`) });
      await this.#ask(leader, (client) => client.unary(Maintenance.methods.moveLeader, request));
      return false;
    });
  }

  async put(member: Member, key: string, value: Buffer | string = 'value'): Promise<void> {
    await this.#ask(member, (client) =>
      client.unary(KV.methods.put, PutRequest.create({ key: Buffer.from(key), value: Buffer.from(value) })),
    );
  }

  /** Reads all keys with the prefix. */
  async list(member: Member, prefix: string): Promise<void> {
    const rangeEnd = Buffer.from(prefix);
    rangeEnd[rangeEnd.length - 1] = (rangeEnd.at(-1) ?? 0) + 1;
    const request = RangeRequest.create({ key: Buffer.from(prefix), rangeEnd });
    await this.#ask(member, (client) => client.unary(KV.methods.range, request));
  }

  destroy(): Promise<void> {
    return this.cluster.destroy();
  }

  async #ask(member: Member, question: (client: RpcClient) => Promise<unknown>): Promise<void> {
    const client = new RpcClient(member.endpoint);
    try {
      const answer = await question(client);
      if (typeof answer === 'object' && answer !== null && 'details' in answer)
        throw new Error(String(answer.details));
    } finally {
      client.close();
    }
  }
}
