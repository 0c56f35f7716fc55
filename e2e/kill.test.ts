import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../src/lib/seeded-random.ts';
import {
  HashKVRequest,
  PutRequest,
  RangeRequest,
  type HashKVResponse,
  type PutResponse,
  type RangeResponse,
} from '../src/wire/gen/etcdserverpb.ts';
import { KV, Maintenance } from '../src/wire/services.ts';
import { Member, serverUnderTest } from './harness/member.ts';
import { missingPeers } from './harness/paths.ts';
import { RpcClient, type Method } from './harness/rpc-client.ts';

const missing = serverUnderTest === 'etcd' ? missingPeers('etcd') : undefined;
const rounds = Number(process.env['KEYSTEAD_KILL_ROUNDS'] ?? 8);
const WRITERS = 32;
const KEYS_PER_WRITER = 20;

const variants = [
  { name: 'one thread', flags: [] },
  { name: 'a thread for raft', flags: ['--keystead-raft-thread'] },
].filter(({ flags }) => serverUnderTest !== 'etcd' || flags.length === 0);

describe.skipIf(missing !== undefined).each(variants)('killed under load, $name', ({ flags }) => {
  it(`loses no acknowledged data in ${rounds} rounds of kill -9`, async () => {
    const random = new SeededRandom(20);
    const member = await Member.start({ kind: serverUnderTest, name: 'killed', flags });
    const ledger = new Ledger();
    try {
      for (let round = 0; round < rounds; round += 1) {
        const client = new RpcClient(member.endpoint);
        const before = await call(client, Maintenance.methods.hashKv, HashKVRequest.create());
        const load = Array.from({ length: WRITERS }, (_, writer) =>
          writeUntilFailure(client, ledger, writer),
        );
        await sleep(random.between(20, 400));
        await member.kill();
        await Promise.all(load);
        client.close();
        await member.start();
        await expectKept(member, ledger, before);
      }
      console.log(`${ledger.acknowledged} puts were acknowledged in ${rounds} rounds`);
      expect(ledger.acknowledged).toBeGreaterThan(rounds);
    } finally {
      await member.destroy();
    }
  });
});

/** The allowed values of each key: from its last acknowledged number to the last one that was sent. */
class Ledger {
  acknowledged = 0;
  readonly sent = new Map<string, number>();
  readonly kept = new Map<string, { value: number; revision: number }>();
}

async function writeUntilFailure(client: RpcClient, ledger: Ledger, writer: number): Promise<void> {
  for (let turn = 0; ; turn += 1) {
    const key = `${writer}/${turn % KEYS_PER_WRITER}`;
    const value = (ledger.sent.get(key) ?? 0) + 1;
    ledger.sent.set(key, value);
    const request = PutRequest.create({ key: Buffer.from(key), value: Buffer.from(String(value)) });
    const answer = await client.unary(KV.methods.put, request);
    if ('code' in answer) return;
    const [response] = answer.messages as PutResponse[];
    ledger.kept.set(key, { value, revision: response?.header?.revision ?? 0 });
    ledger.acknowledged += 1;
  }
}

async function expectKept(member: Member, ledger: Ledger, before: HashKVResponse): Promise<void> {
  const client = new RpcClient(member.endpoint);
  try {
    const everything = RangeRequest.create({ key: Buffer.from([0]), rangeEnd: Buffer.from([0]) });
    const { kvs, header } = await call<RangeRequest, RangeResponse>(client, KV.methods.range, everything);
    const found = new Map(
      kvs.map(({ key, value, modRevision }) => [
        key.toString(),
        { value: Number(value.toString()), modRevision },
      ]),
    );
    for (const [key, { value, revision }] of ledger.kept) {
      const now = found.get(key);
      if (now === undefined) throw new Error(`the key ${key}, acknowledged at revision ${revision}, is gone`);
      expect(now.value, `value of ${key}`).toBeGreaterThanOrEqual(value);
      expect(now.value, `value of ${key}`).toBeLessThanOrEqual(ledger.sent.get(key) ?? 0);
      expect(now.modRevision, `revision of ${key}`).toBeGreaterThanOrEqual(revision);
    }
    for (const [key, { value }] of found)
      expect(ledger.sent.get(key), `a value of ${key} that was sent`).toBeGreaterThanOrEqual(value);
    const revision = before.header?.revision ?? 0;
    expect(header?.revision).toBeGreaterThanOrEqual(revision);
    if (revision === 0) return;
    const after = await call(client, Maintenance.methods.hashKv, HashKVRequest.create({ revision }));
    expect({ hash: after.hash, hashRevision: after.hashRevision }).toEqual({
      hash: before.hash,
      hashRevision: before.hashRevision,
    });
  } finally {
    client.close();
  }
}

async function call<Q, R>(client: RpcClient, method: Method<Q, R>, request: Q): Promise<R> {
  const answer = await client.unary(method, request);
  if ('code' in answer) throw new Error(`${method.path}: ${answer.details}`);
  return answer.messages[0] as R;
}
