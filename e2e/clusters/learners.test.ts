import { afterEach, describe, expect, it } from 'vitest';
import { PutRequest, RangeRequest, TxnRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { Member } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import { type Answer, RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';
import { TestCluster } from './test-cluster.ts';

const missing = missingPeers('etcd', 'etcdctl');
const key = Buffer.from('k');
const refused = { code: 9, details: 'etcdserver: rpc not supported for learner' };

let cluster: TestCluster | undefined;
let clients: RpcClient[] = [];
afterEach(async () => {
  for (const client of clients) client.close();
  clients = [];
  await cluster?.destroy();
  cluster = undefined;
});

function connect({ endpoint }: Member): RpcClient {
  const client = new RpcClient(endpoint);
  clients.push(client);
  return client;
}

const put = (client: RpcClient, value: string): Promise<Answer> =>
  client.unary(KV.methods.put, PutRequest.create({ key, value: Buffer.from(value) }));
const get = (client: RpcClient, serializable = false): Promise<Answer> =>
  client.unary(KV.methods.range, RangeRequest.create({ key, serializable }));
const txn = (client: RpcClient, request: 'read' | 'write'): Promise<Answer> => {
  const operation =
    request === 'read'
      ? ({ case: 'requestRange', value: RangeRequest.create({ key }) } as const)
      : ({ case: 'requestPut', value: PutRequest.create({ key }) } as const);
  return client.unary(KV.methods.txn, TxnRequest.create({ success: [{ request: operation }] }));
};

function valueOf(answer: Answer): string {
  if (!('messages' in answer)) throw new Error(answer.details);
  const [message] = answer.messages as { kvs: { value: Buffer }[] }[];
  return message?.kvs[0]?.value.toString() ?? '';
}

describe.skipIf(missing !== undefined)(`learners ${missing ?? ''}`, () => {
  it.each(['etcd', 'keystead'] as const)('that are %s answer serializable reads alone', async (kind) => {
    cluster = await TestCluster.create(['keystead']);
    await put(connect(await cluster.leader()), 'first');
    const learner = connect(await cluster.addLearner(kind, 'learner'));
    await eventually('the learner has the key', async () => valueOf(await get(learner, true)) === 'first');
    const empty = RangeRequest.create();
    expect(await learner.unary(KV.methods.range, empty)).toEqual(refused);
    for (const answer of [get(learner), put(learner, 'x'), txn(learner, 'read'), txn(learner, 'write')])
      expect(await answer).toEqual(refused);
    expect(await learner.serverStream(KV.methods.rangeStream, RangeRequest.create({ key }))).toEqual(refused);
  });

  it('with --learner-reads serve linearizable reads under any leader', async () => {
    cluster = await TestCluster.create(['keystead', 'etcd']);
    const voters = [...cluster.members];
    const learner = connect(await cluster.addLearner('keystead', 'learner', ['--learner-reads']));
    for (const leader of voters) {
      await cluster.moveLeader(leader);
      const client = connect(leader);
      for (let round = 0; round < 100; round += 1) {
        const value = `${leader.name} ${round}`;
        expect(await put(client, value)).toHaveProperty('messages');
        expect(valueOf(await get(learner))).toBe(value);
      }
      expect(await txn(learner, 'read')).toHaveProperty('messages');
      expect(await learner.serverStream(KV.methods.rangeStream, RangeRequest.create({ key }))).toHaveProperty(
        'messages',
      );
    }
    expect(await put(learner, 'x')).toEqual(refused);
    expect(await txn(learner, 'write')).toEqual(refused);
  });

  it('are promoted by a leader with --auto-promote-learners once they have caught up', async () => {
    cluster = await TestCluster.create(['keystead'], ['--auto-promote-learners']);
    const first = await cluster.leader();
    const client = connect(first);
    for (let round = 0; round < 50; round += 1) await put(client, `${round}`);
    // It is added but not started, so it stays a learner.
    const port = await freePort();
    const added = await cluster
      .ctl(first)
      .ok(['member', 'add', 'absent', `--peer-urls=http://127.0.0.1:${port}`, '--learner']);
    await first.program.sees('no response from a peer URL of the added member');
    const initial = /ETCD_INITIAL_CLUSTER="([^"]+)"/.exec(added)?.[1] ?? '';
    const learners = async (): Promise<number> =>
      (await cluster?.ctl(first).ok(['member', 'list']))?.match(/true$/gm)?.length ?? 0;
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(await learners()).toBe(1);
    const late = await Member.start({
      kind: 'etcd',
      name: 'absent',
      peerPort: port,
      flags: [`--initial-cluster=${initial}`, '--initial-cluster-state=existing'],
    });
    cluster.members.push(late);
    await eventually('it is promoted', async () => (await learners()) === 0, { timeoutMs: 60_000 });
    expect(valueOf(await get(connect(late)))).toBe('49');
  });

  it('of another cluster cause a warning when they are added', async () => {
    cluster = await TestCluster.create(['keystead']);
    const [first] = cluster.members;
    const stranger = await Member.start({ kind: 'etcd', name: 'stranger' });
    try {
      const url = `http://127.0.0.1:${stranger.peerPort}`;
      await cluster.ctl().ok(['member', 'add', 'stranger', `--peer-urls=${url}`, '--learner']);
      await first?.program.sees('a peer URL of the added member belongs to a member of another cluster');
    } finally {
      await stranger.destroy();
    }
  });
});
