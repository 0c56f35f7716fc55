import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/lib/seeded-random.ts';
import { PutRequest } from '../../src/wire/gen/etcdserverpb.ts';
import type { MethodDescriptor } from '../../src/wire/codec.ts';
import * as services from '../../src/wire/services.ts';
import { LoadClient } from '../harness/load-client.ts';
import { Member, serverUnderTest } from '../harness/member.ts';
import { RandomMessages } from './random-message.ts';

const seed = Number(process.env['KEYSTEAD_FUZZ_SEED'] ?? 1);
const rounds = Number(process.env['KEYSTEAD_FUZZ_ROUNDS'] ?? 15);
/** Calls under way at once. Streams end by this client's timeout. */
const AT_ONCE = 20;
const TIMEOUT_MS = 1_000;

const methods: MethodDescriptor[] = Object.values(services).flatMap((service) =>
  'methods' in service ? (Object.values(service.methods) as MethodDescriptor[]) : [],
);

describe(`unusual requests, from seed ${seed}`, () => {
  let member: Member;
  beforeAll(async () => {
    member = await Member.start({ kind: serverUnderTest, name: 'fuzzed' });
  });
  afterAll(() => member.destroy());

  it('knows all services', () => expect(methods.length).toBeGreaterThan(40));

  it('end their call and nothing else: all services', { timeout: 300_000 }, async () => {
    const random = new SeededRandom(seed);
    const messages = new RandomMessages(random);
    const client = new LoadClient(member.endpoint, { timeoutMs: TIMEOUT_MS });
    const codes = new Map<string, number>();
    for (let round = 0; round < rounds; round += 1) {
      for (let at = 0; at < methods.length; at += AT_ONCE) {
        const asked = methods.slice(at, at + AT_ONCE).map(async ({ path, request }) => {
          const answer = await client.call(path, messages.encoded(request.typeName));
          const code = 'code' in answer ? answer.code : 0;
          codes.set(`${path} ${code}`, (codes.get(`${path} ${code}`) ?? 0) + 1);
        });
        await Promise.all(asked);
        member.program.mustBeAlive();
      }
    }
    client.close();
    const answered = new Set([...codes.keys()].map((key) => key.split(' ')[0]));
    expect(answered.size).toBe(methods.length);
  });

  it('leave a member that starts again', { timeout: 60_000 }, async () => {
    await member.restart('SIGKILL');
    const client = new LoadClient(member.endpoint);
    const put = PutRequest.create({ key: Buffer.from('after'), value: Buffer.from('all') });
    await client.unary(services.KV.methods.put, put);
    client.close();
    member.program.mustBeAlive();
  });
});
