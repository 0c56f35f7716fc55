import { afterEach, describe, expect, it } from 'vitest';
import {
  AuthEnableRequest,
  AuthRoleAddRequest,
  AuthUserAddRequest,
  AuthUserGrantRoleRequest,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  type RangeResponse,
} from '../../src/wire/gen/etcdserverpb.ts';
import { Auth, KV } from '../../src/wire/services.ts';
import { Member, serverUnderTest } from '../harness/member.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';
import { threadsUnderTest } from './thread-count.ts';

const WRITERS = 4;
const READERS = 8;
/** Acknowledged changes of each key. */
const CHANGES = 40;

/** Gets are answered by the serving threads, which read the store while the core writes it. */
describe.skipIf(serverUnderTest === 'etcd')('gets of a member with serving threads', () => {
  const cleanups: (() => Promise<void> | void)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  async function start(flags: readonly string[] = []): Promise<Member> {
    const threads = `--keystead-serving-threads=${threadsUnderTest}`;
    const member = await Member.start({ kind: 'keystead', flags: [threads, ...flags] });
    cleanups.push(() => member.destroy());
    return member;
  }

  /** With a connection of its own: connections are spread over the threads. */
  function clientOf(member: Member): RpcClient {
    const client = new RpcClient(member.endpoint, { channel: { 'grpc.use_local_subchannel_pool': 1 } });
    cleanups.push(() => client.close());
    return client;
  }

  it('see each acknowledged change, at the revision of their header', async () => {
    const member = await start();
    /** By key: the newest acknowledged change; an odd number is a put, an even one a delete. */
    const acknowledged = new Array<number>(WRITERS).fill(0);
    const revisions = new Array<number>(WRITERS).fill(0);
    let writing = WRITERS;
    const write = async (writer: number): Promise<void> => {
      const client = clientOf(member);
      const key = Buffer.from(`key-${writer}`);
      for (let change = 1; change <= CHANGES; change += 1) {
        const answer =
          change % 2 === 1
            ? await client.unary(KV.methods.put, PutRequest.create({ key, value: Buffer.from(`${change}`) }))
            : await client.unary(KV.methods.deleteRange, DeleteRangeRequest.create({ key }));
        revisions[writer] = revisionOf(answer);
        acknowledged[writer] = change;
      }
      writing -= 1;
    };
    let reads = 0;
    const read = async (reader: number): Promise<void> => {
      const client = clientOf(member);
      let newest = 0;
      while (writing > 0) {
        const writer = reader % WRITERS;
        const before = acknowledged[writer] ?? 0;
        const revisionBefore = revisions[writer] ?? 0;
        const answer = await client.unary(
          KV.methods.range,
          RangeRequest.create({ key: Buffer.from(`key-${writer}`) }),
        );
        const { kvs, count } = responseOf(answer);
        const revision = revisionOf(answer);
        expect(count).toBe(kvs.length);
        expect(revision).toBeGreaterThanOrEqual(Math.max(newest, revisionBefore));
        newest = revision;
        const [kv] = kvs;
        if (kv !== undefined) {
          expect(Number(kv.value)).toBeGreaterThanOrEqual(before);
          expect(kv.modRevision).toBeLessThanOrEqual(revision);
        }
        await expectAt(client, writer, revision, kv?.modRevision);
        reads += 1;
      }
    };
    await Promise.all([
      ...Array.from({ length: WRITERS }, (_, writer) => write(writer)),
      ...Array.from({ length: READERS }, (_, reader) => read(reader)),
    ]);
    expect(reads).toBeGreaterThan(0);
  }, 120_000);

  it('ask for permissions as soon as authentication is on', async () => {
    const member = await start(['--bcrypt-cost=4']);
    const client = clientOf(member);
    const key = Buffer.from('key');
    const get = () => client.unary(KV.methods.range, RangeRequest.create({ key }));
    await client.unary(KV.methods.put, PutRequest.create({ key, value: Buffer.from('value') }));
    expect(responseOf(await get()).count).toBe(1);
    const admin = clientOf(member);
    const { methods } = Auth;
    await admin.unary(methods.roleAdd, AuthRoleAddRequest.create({ name: 'root' }));
    await admin.unary(methods.userAdd, AuthUserAddRequest.create({ name: 'root', password: 'root' }));
    await admin.unary(methods.userGrantRole, AuthUserGrantRoleRequest.create({ user: 'root', role: 'root' }));
    const auth = { isOn: false };
    const answersBefore: unknown[] = [];
    const load = (async () => {
      for (let after = 0; after < 5;) {
        const wasOn = auth.isOn;
        const answer = await get();
        if (!wasOn) answersBefore.push(answer);
        else {
          after += 1;
          expect(answer).toEqual({ code: 3, details: 'etcdserver: user name is empty' });
        }
      }
    })();
    await eventually('reads under way', () => answersBefore.length > 0);
    expect(await admin.unary(methods.authEnable, AuthEnableRequest.create())).toHaveProperty('messages');
    auth.isOn = true;
    await load;
  }, 60_000);

  it('do not disturb a stop, and find everything after a kill', async () => {
    const member = await start();
    const client = clientOf(member);
    const key = Buffer.from('key');
    const range = RangeRequest.create({ key });
    for (const end of ['SIGTERM', 'SIGKILL'] as const) {
      await client.unary(KV.methods.put, PutRequest.create({ key, value: Buffer.from(end) }));
      const load = { isRunning: true };
      let reads = 0;
      const readers = Array.from({ length: READERS }, async () => {
        const reader = clientOf(member);
        while (load.isRunning) if ('messages' in (await reader.unary(KV.methods.range, range))) reads += 1;
      });
      await eventually('reads under way', () => reads > READERS);
      const { program } = member;
      await member.stop(end);
      load.isRunning = false;
      await Promise.all(readers);
      if (end === 'SIGTERM') expect(program.exitCode).toBe(0);
      await member.start();
      const found = await eventually('a get after the start', async () => {
        const answer = await clientOf(member).unary(KV.methods.range, range);
        return 'messages' in answer ? answer : undefined;
      });
      expect(responseOf(found).kvs[0]?.value.toString()).toBe(end);
    }
  }, 120_000);
});

/** A read of the past is answered by the core: it must find the same at the revision of the thread's answer. */
async function expectAt(
  client: RpcClient,
  writer: number,
  revision: number,
  modRevision: number | undefined,
): Promise<void> {
  const key = Buffer.from(`key-${writer}`);
  const past = await client.unary(KV.methods.range, RangeRequest.create({ key, revision }));
  expect(responseOf(past).kvs[0]?.modRevision).toBe(modRevision);
}

function responseOf(answer: unknown): RangeResponse {
  expect(answer).toHaveProperty('messages');
  return (answer as { messages: [RangeResponse] }).messages[0];
}

/** The revision of any response. */
function revisionOf(answer: unknown): number {
  return responseOf(answer).header?.revision ?? 0;
}
