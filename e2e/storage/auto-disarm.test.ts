import { expect, it } from 'vitest';
import { DeleteRangeRequest, PutRequest, RangeRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { TestCluster } from '../clusters/test-cluster.ts';
import { Member } from '../harness/member.ts';
import { metricOf } from '../harness/metrics.ts';
import { type Answer, RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';

const QUOTA_BYTES = 4 * 1024 * 1024;
const VALUE = Buffer.alloc(64 * 1024, 'v');
/** Versions that stay, a quarter of the quota. */
const RETENTION = 16;
const NO_SPACE = 'etcdserver: mvcc: database space exceeded';
const COMPACTED = 'etcdserver: mvcc: required revision has been compacted';

const FLAGS = [
  ...['--keystead-auto-disarm', '--keystead-auto-disarm-percent=50', `--quota-backend-bytes=${QUOTA_BYTES}`],
  ...['--auto-compaction-mode=revision', `--auto-compaction-retention=${RETENTION}`],
];

function put(client: RpcClient, key: string): Promise<Answer> {
  return client.unary(KV.methods.put, PutRequest.create({ key: Buffer.from(key), value: VALUE }));
}

/** Puts until the quota is exceeded. Returns the number of puts. */
async function fill(client: RpcClient, key: (at: number) => string): Promise<number> {
  for (let at = 0; at < 200; at += 1) {
    const answer = await put(client, key(at));
    if ('messages' in answer) continue;
    expect(answer.details).toBe(NO_SPACE);
    return at;
  }
  throw new Error('the quota was never exceeded');
}

/** Compactions and disarmed alarms of a member. */
function healed(member: Member): Promise<number[]> {
  const names = ['keystead_auto_disarm_compactions_total', 'keystead_auto_disarms_total'];
  return Promise.all(names.map((name) => metricOf(member, name)));
}

function putAgain(client: RpcClient, key: string): Promise<readonly unknown[]> {
  return eventually('a put', async () => {
    const answer = await put(client, key);
    return 'messages' in answer ? answer.messages : undefined;
  });
}

it('compacts old versions that fill the quota to the retention, and writes work again', async () => {
  const cluster = await TestCluster.create(['keystead', 'keystead', 'keystead'], FLAGS);
  const leader = await cluster.leader();
  const client = new RpcClient(leader.endpoint);
  try {
    await fill(client, () => 'one');
    const [response] = (await putAgain(client, 'one')) as { header: { revision: number } }[];
    const revision = response?.header.revision ?? 0;
    const at = (back: number): Promise<Answer> =>
      client.unary(
        KV.methods.range,
        RangeRequest.create({ key: Buffer.from('one'), revision: revision - back }),
      );
    expect(await at(RETENTION)).toHaveProperty('messages');
    expect(await at(RETENTION + 10)).toHaveProperty('details', COMPACTED);
    await leader.program.sees('compacting because of the NOSPACE alarm');
    await leader.program.sees('disarmed the NOSPACE alarm');
    const expected = cluster.members.map((member) => (member === leader ? [1, 1] : [0, 0]));
    expect(await Promise.all(cluster.members.map(healed))).toEqual(expected);
  } finally {
    client.close();
    await cluster.destroy();
  }
});

it('keeps keys that fill the quota, and the alarm with them, until a client deletes them', async () => {
  const member = await Member.start({ kind: 'keystead', flags: FLAGS });
  const client = new RpcClient(member.endpoint);
  try {
    const keys = await fill(client, (at) => `key${at}`);
    await eventually('a compaction', async () => (await healed(member))[0] === 1);
    expect(await put(client, 'more')).toHaveProperty('details', NO_SPACE);
    const range = RangeRequest.create({
      key: Buffer.from('key'),
      rangeEnd: Buffer.from('kez'),
      countOnly: true,
    });
    expect(await client.unary(KV.methods.range, range)).toMatchObject({ messages: [{ count: keys }] });
    for (let at = 0; at < keys; at += 1)
      await client.unary(KV.methods.deleteRange, DeleteRangeRequest.create({ key: Buffer.from(`key${at}`) }));
    await putAgain(client, 'more');
    expect((await healed(member))[1]).toBe(1);
  } finally {
    client.close();
    await member.destroy();
  }
});
