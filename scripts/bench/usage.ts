/*
 * `npm run bench:usage`: what `--keystead-usage-prefixes` costs. Two members with the same keys, one of which counts by
 * prefix, get the same puts in turns. Prints the processor time per put of each, and compares the counted keys with a
 * count of the store. Ends with 1 if the counts differ.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { LoadClient } from '../../e2e/harness/load-client.ts';
import { Member } from '../../e2e/harness/member.ts';
import { metricsOf } from '../../e2e/harness/metrics.ts';
import { PutRequest, RangeRequest, type RangeResponse, TxnRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { ranBetween, threadTimes } from './processor-time.ts';

const { values } = parseArgs({
  options: {
    keys: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '12' },
    puts: { type: 'string', default: '15000' },
  },
});
const keys = Number(values.keys);
const rounds = Number(values.rounds);
const puts = Number(values.puts);

const RESOURCES = 50;
const TXN_PUTS = 100;
const CLIENTS = 64;
const VALUE = Buffer.alloc(256, 'v');

function keyOf(at: number): Buffer {
  const resource = at % RESOURCES;
  const group = resource % 2 === 0 ? 'resource' : 'group.example.com/resource';
  return Buffer.from(`/registry/${group}${resource}/namespace/object-${String(at).padStart(8, '0')}`);
}

/** Runs `work` for each number below `count`, by many clients at once. */
async function spread(count: number, work: (at: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const client = async (): Promise<void> => {
    for (let at = next++; at < count; at = next++) await work(at);
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}

async function load(client: LoadClient): Promise<void> {
  await spread(keys / TXN_PUTS, async (at) => {
    const success = Array.from({ length: TXN_PUTS }, (_, place) => ({
      request: {
        case: 'requestPut' as const,
        value: PutRequest.create({ key: keyOf(at * TXN_PUTS + place), value: VALUE }),
      },
    }));
    await client.unary(KV.methods.txn, TxnRequest.create({ success }));
  });
}

/** Microseconds of processor time per put. */
async function round({ pid }: Member, client: LoadClient, seed: number): Promise<number> {
  const before = threadTimes([pid]);
  await spread(puts, (at) =>
    client.unary(KV.methods.put, PutRequest.create({ key: keyOf((at * 7919 + seed) % keys), value: VALUE })),
  );
  return ranBetween(before, threadTimes([pid])).allUs / puts;
}

async function countedKeys(member: Member): Promise<number> {
  for (;;) {
    const text = await metricsOf(member);
    const samples = [...text.matchAll(/^keystead_usage_keys\{.*\} (\S+)$/gm)];
    if (samples.length > 0) return samples.reduce((sum, [, value]) => sum + Number(value), 0);
    await sleep(100);
  }
}

async function storedKeys(client: LoadClient): Promise<number> {
  const zero = Buffer.alloc(1);
  const request = RangeRequest.create({ key: zero, rangeEnd: zero, countOnly: true });
  const answer = await client.unary(KV.methods.range, request);
  if (!('messages' in answer)) throw new Error(answer.details);
  return (answer.messages[0] as RangeResponse).count;
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}

const without = await Member.start({ kind: 'keystead', flags: ['--quota-backend-bytes=-1'] });
const counting = await Member.start({
  kind: 'keystead',
  flags: ['--quota-backend-bytes=-1', '--keystead-usage-prefixes=/registry/*'],
});
try {
  const sides = [without, counting].map((member) => ({
    member,
    client: new LoadClient(member.endpoint),
    times: [] as number[],
  }));
  for (const { client } of sides) await load(client);
  for (const { member, client } of sides) await round(member, client, 0);
  for (let at = 0; at < rounds; at += 1) {
    const order = at % 2 === 0 ? sides : sides.toReversed();
    for (const { member, client, times } of order) times.push(await round(member, client, at));
  }
  const [plain = 0, counted = 0] = sides.map(({ times }) => median(times));
  console.log(`${keys} keys, ${rounds} rounds of ${puts} puts`);
  console.log(`without: ${plain.toFixed(2)} us per put; with usage: ${counted.toFixed(2)} us per put`);
  console.log(`difference of the medians: ${((100 * (counted - plain)) / plain).toFixed(2)} %`);
  const stored = await storedKeys(sides[1]?.client ?? new LoadClient(counting.endpoint));
  const before = await countedKeys(counting);
  await counting.restart();
  const startedMs = performance.now();
  const after = await countedKeys(counting);
  const cpu = ranBetween(new Map(), threadTimes([counting.pid])).allUs / 1e6;
  console.log(
    `counted ${before} keys, and ${after} again ${((performance.now() - startedMs) / 1000).toFixed(1)} s after a ` +
      `restart (${cpu.toFixed(1)} s of processor time with the start); the store has ${stored}`,
  );
  for (const { client } of sides) client.close();
  process.exitCode = before === stored && after === stored ? 0 : 1;
} finally {
  await Promise.all([without.destroy(), counting.destroy()]);
}
