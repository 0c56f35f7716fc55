import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PutRequest, RangeRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { diskFaultsMissing, diskPaths, FaultyDisk } from '../harness/disk-faults.ts';
import { Member, serverUnderTest } from '../harness/member.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';

const missing = serverUnderTest === 'etcd' ? 'skipped: faults cannot be set up for etcd' : diskFaultsMissing;

/** How long the store cannot be written: many attempts to recover it. */
const FAULT_MS = 3_000;

/*
 * The disk still reports free space, but no write of the store succeeds. The member closed the store to open it again,
 * which failed, and the store stayed closed between the attempts: all reads waited.
 */
describe.skipIf(missing !== undefined)(`a store that cannot grow ${missing ?? ''}`.trimEnd(), () => {
  const disk = new FaultyDisk();
  let member: Member;
  let client: RpcClient;
  const key = Buffer.from('key');
  const put = (value: string) =>
    client.unary(KV.methods.put, PutRequest.create({ key, value: Buffer.from(value) }));
  const read = async (): Promise<string> => {
    const quick = new RpcClient(member.endpoint, { timeoutMs: 1_000 });
    const answer = await quick.unary(KV.methods.range, RangeRequest.create({ key, serializable: true }));
    quick.close();
    if (!('messages' in answer)) return `${answer.code} ${answer.details}`;
    const [response] = answer.messages as { kvs: { value: Buffer }[] }[];
    return response?.kvs[0]?.value.toString() ?? 'nothing';
  };

  beforeAll(async () => {
    member = await Member.start({ kind: 'keystead', name: 'full', env: disk.env });
    client = new RpcClient(member.endpoint);
  });
  afterAll(async () => {
    client.close();
    await member.destroy();
  });

  it.each(['EDQUOT', 'ENOSPC'] as const)(
    'serves reads while its writes fail with %s, and writes when they succeed again',
    async (error) => {
      expect(await put(`before ${error}`)).toHaveProperty('messages');
      disk.set({ calls: ['write'], path: diskPaths.store, error });
      const waiting = put(`during ${error}`);
      await member.program.sees('the disk is full; waiting for space', { timeoutMs: 10_000 });
      const answers = new Set<string>();
      for (const end = Date.now() + FAULT_MS; Date.now() < end;) answers.add(await read());
      disk.heal();
      // Whether the put under way is in the store already is not said.
      const right = [`before ${error}`, `during ${error}`];
      expect([...answers].filter((answer) => !right.includes(answer))).toEqual([]);
      await waiting;
      await eventually('a put', async () => 'messages' in (await put(`after ${error}`)));
      expect(await read()).toBe(`after ${error}`);
      member.program.lines.splice(0);
    },
  );

  it('has kept everything over a restart', async () => {
    await member.kill();
    await member.start();
    expect(await read()).toBe('after ENOSPC');
  });
});
