import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { runCommand } from '../harness/command.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { keysteadBundle, missingPeers } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import { Program } from '../harness/program.ts';
import { removeTempDir, tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';

const missing = missingPeers('etcdctl');
const WAIT = { timeoutMs: 90_000, everyMs: 200 };

interface ListedMember {
  readonly ID: number;
  readonly name?: string;
  readonly isLearner?: boolean;
}

/** Members that are started as the chart starts its pods: all with the same flags, except for name and addresses. */
class StatefulSet {
  readonly #initial: number;
  readonly #folder = tempDir('statefulset');
  readonly #ports: { client: number; peer: number }[] = [];
  readonly #flags: readonly string[];
  readonly pods: Program[] = [];

  constructor(initial: number, flags: readonly string[] = []) {
    this.#initial = initial;
    this.#flags = flags;
  }

  get ctl(): Etcdctl {
    return new Etcdctl(`127.0.0.1:${this.#ports[0]?.client ?? 0}`);
  }

  async prepare(count: number): Promise<void> {
    while (this.#ports.length < count) this.#ports.push({ client: await freePort(), peer: await freePort() });
  }

  dataDir(ordinal: number): string {
    return join(this.#folder, `m-${ordinal}`);
  }

  start(ordinal: number): Program {
    const ports = this.#ports[ordinal];
    if (ports === undefined) throw new Error('prepare first');
    const [client, peer] = [`http://127.0.0.1:${ports.client}`, `http://127.0.0.1:${ports.peer}`];
    const initial = this.#ports
      .slice(0, this.#initial)
      .map((each, at) => `m-${at}=http://127.0.0.1:${each.peer}`);
    // The Service of a chart leads to members that are ready. The first ones are enough here.
    const service = this.#ports.slice(0, this.#initial).map((each) => `127.0.0.1:${each.client}`);
    const pod = new Program(`m-${ordinal}`, process.execPath, [
      ...[keysteadBundle(), 'member', 'start', `--endpoints=${service.join()}`, '--'],
      ...[`--name=m-${ordinal}`, `--data-dir=${this.dataDir(ordinal)}`],
      ...[`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
      ...[`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`],
      ...[`--initial-cluster=${initial.join()}`, '--initial-cluster-state=new'],
      '--auto-promote-learners=true',
      ...this.#flags,
    ]);
    this.pods[ordinal] = pod;
    return pod;
  }

  async members(): Promise<ListedMember[]> {
    const list = JSON.parse(await this.ctl.ok(['member', 'list', '-w', 'json'])) as {
      members: ListedMember[];
    };
    return list.members;
  }

  /** Waits until the cluster has this many members, all started and voting. */
  async hasVoters(count: number): Promise<void> {
    await eventually(
      `${count} voters`,
      async () => {
        this.pods.forEach((pod) => pod.mustBeAlive());
        const members = await this.members();
        const voters = members.filter(({ name, isLearner }) => name !== undefined && isLearner !== true);
        return members.length === count && voters.length === count;
      },
      WAIT,
    );
  }

  /** Makes a member the leader. */
  async lead(ordinal: number): Promise<void> {
    const own = new Etcdctl(`127.0.0.1:${this.#ports[ordinal]?.client ?? 0}`);
    await eventually('a member that answers', () => own.ok(['get', 'key']), WAIT);
    const id = new RegExp(`(\\w+), started, m-${ordinal},`).exec(await own.ok(['member', 'list']))?.[1] ?? '';
    const all = new Etcdctl(this.#ports.map(({ client }) => `127.0.0.1:${client}`).join());
    await eventually('the leader', () => all.ok(['move-leader', id]), WAIT);
  }

  async destroy(): Promise<void> {
    await Promise.all(this.pods.map((pod) => pod.stop('SIGKILL')));
    removeTempDir(this.#folder);
  }
}

let set: StatefulSet;
afterEach(() => set.destroy());

describe.skipIf(missing !== undefined)(`members of a StatefulSet ${missing ?? ''}`, () => {
  it('start a cluster of three, grow to five at once, shrink to three and grow again', async () => {
    set = new StatefulSet(3);
    await set.prepare(5);
    for (const ordinal of [0, 1, 2]) set.start(ordinal);
    await set.hasVoters(3);
    await set.ctl.ok(['put', 'key', 'value']);

    for (const ordinal of [3, 4]) set.start(ordinal);
    await set.hasVoters(5);
    // A restart with data needs no endpoint and keeps the member.
    await set.pods[4]?.stop();
    set.start(4);
    await set.hasVoters(5);

    await set.lead(4);
    const endpoint = `--endpoints=${set.ctl.endpoint}`;
    const removed = await runCommand(process.execPath, [
      ...[keysteadBundle(), 'member', 'remove', '--name-prefix=m-', '--from-ordinal=3', endpoint],
    ]);
    expect(removed).toMatchObject({ code: 0, stderr: '' });
    // A leader that is removed takes the writes in progress with it.
    await set.pods[4]?.sees('starts to transfer leadership to');
    for (const pod of set.pods.splice(3)) await pod.stop();
    await set.hasVoters(3);

    // Their claims are deleted before they come back.
    for (const ordinal of [3, 4]) removeTempDir(set.dataDir(ordinal));
    for (const ordinal of [3, 4]) set.start(ordinal);
    await set.hasVoters(5);
    expect(await set.ctl.ok(['get', 'key', '--print-value-only'])).toBe('value\n');
  });

  it('grow from one to three', async () => {
    set = new StatefulSet(1);
    await set.prepare(3);
    set.start(0);
    await set.hasVoters(1);
    for (const ordinal of [1, 2]) set.start(ordinal);
    await set.hasVoters(3);
  });

  it('come back after their volume was lost and the old member was removed', async () => {
    set = new StatefulSet(3);
    await set.prepare(3);
    for (const ordinal of [0, 1, 2]) set.start(ordinal);
    await set.hasVoters(3);
    await set.pods[2]?.stop('SIGKILL');
    set.pods.splice(2);
    removeTempDir(set.dataDir(2));
    const id = /([0-9a-f]+), started, m-2/.exec(await set.ctl.ok(['member', 'list']))?.[1] ?? '';
    await set.ctl.ok(['member', 'remove', id]);
    set.start(2);
    await set.hasVoters(3);
  });

  it.each([0, 3])('come back by themselves after their volume was lost: %d', async (ordinal) => {
    set = new StatefulSet(3, ['--keystead-rejoin=true']);
    await set.prepare(4);
    for (const each of [0, 1, 2]) set.start(each);
    await set.hasVoters(3);
    set.start(3);
    await set.hasVoters(4);
    await set.ctl.ok(['put', 'key', 'value']);
    const idOf = async (): Promise<number | undefined> =>
      (await set.members()).find(({ name }) => name === `m-${ordinal}`)?.ID;
    const oldId = await idOf();
    await set.pods[ordinal]?.stop('SIGKILL');
    removeTempDir(set.dataDir(ordinal));
    set.start(ordinal);
    await eventually('it has a new id', async () => ![undefined, oldId].includes(await idOf()), WAIT);
    await set.hasVoters(4);
    expect(await set.ctl.ok(['get', 'key', '--print-value-only'])).toBe('value\n');
  });

  it('wait for a cluster that does not answer, and end when they are told to', async () => {
    set = new StatefulSet(1);
    await set.prepare(2);
    const pod = set.start(1);
    await pod.sees('waiting to join the running cluster');
    await pod.stop('SIGTERM', 5_000);
    expect(pod.exitCode).toBe(0);
    set.pods.splice(0);
  });
});
