import { setTimeout as sleep } from 'node:timers/promises';
import { CompactionRequest, RangeRequest, type RangeResponse } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { TestCluster } from '../clusters/test-cluster.ts';
import { LoadClient } from '../harness/load-client.ts';
import type { Member, MemberKind } from '../harness/member.ts';
import { eventually } from '../harness/wait.ts';
import { Ledger } from './ledger.ts';
import { PutLoad } from './put-load.ts';
import { startParts } from './start-parts.ts';

/** Enough concurrent puts for a busy log and large batches in the store. */
const WRITERS = 64;
/** The quota must be large enough for the history of large values, and the log must release segments soon. */
const FLAGS = [
  '--quota-backend-bytes=17179869184',
  '--snapshot-count=1000',
  '--snapshot-catchup-entries=500',
];
/** Acknowledged bytes before each restart, so that the log has started new segments. */
const LOAD_BYTES = 150 << 20;
/** A range of this many keys of 64 KB is 4 MB. */
const PAGE = 64;
const CATCH_UP_MS = 60_000;

export interface RestartsOptions {
  readonly kind: MemberKind;
  readonly members: 1 | 3;
  readonly valueBytes: number;
  /** Number of restarts, alternately by SIGKILL and SIGTERM. */
  readonly rounds: number;
  /** Minimum and maximum milliseconds of load before each restart; it ends earlier when enough bytes were written. */
  readonly loadMs: readonly [number, number];
}

export interface Restart {
  readonly signal: NodeJS.Signals;
  /** Number of members restarted at the same time. */
  readonly members: number;
  /** Milliseconds from the signal to the end of the process. */
  readonly stopMs: number;
  /** Milliseconds from the start of the process until it serves, of the slowest member. */
  readonly startMs: number;
  /** Milliseconds from the start of the process until it has also caught up with the others. */
  readonly caughtUpMs: number;
  /** What each member took its time for, see `startParts`. */
  readonly parts: readonly string[];
}

export interface RestartsResult {
  readonly restarts: Restart[];
  readonly acknowledged: number;
}

/**
 * Restarts members under puts at full rate. Each must start again and have all acknowledged values. Of three members
 * one is restarted at a time, whether it is the leader or not, and in every fourth round all of them.
 *
 * @throws if a member does not start again or has lost data
 */
export async function restartsUnderLoad(options: RestartsOptions): Promise<RestartsResult> {
  const { kind, members, valueBytes, rounds } = options;
  const cluster = await TestCluster.create(Array<MemberKind>(members).fill(kind), FLAGS);
  const ledger = new Ledger(valueBytes);
  const endpoints = cluster.members.map(({ endpoint }) => endpoint);
  const load = new PutLoad(endpoints, ledger, WRITERS);
  const restarts: Restart[] = [];
  try {
    for (let round = 0; round < rounds; round += 1) {
      await waitForLoad(ledger, options);
      const signal = round % 2 === 0 ? 'SIGKILL' : 'SIGTERM';
      const one = cluster.members[(round >> 1) % members];
      const chosen = one === undefined || round % 4 === 3 ? cluster.members : [one];
      restarts.push(await restart(chosen, { signal, ledger, load }));
      await compact(endpoints, ledger);
      load.resume();
    }
    await load.stop();
    await Promise.all(cluster.members.map((member) => checkValues(member, ledger)));
    await cluster.settled();
    return { restarts, acknowledged: ledger.acknowledged };
  } finally {
    await cluster.destroy();
    await load.stop();
  }
}

/** The load continues until all members serve again, and pauses while they catch up. */
async function restart(
  members: readonly Member[],
  { signal, ledger, load }: { signal: NodeJS.Signals; ledger: Ledger; load: PutLoad },
): Promise<Restart> {
  const begun = performance.now();
  await Promise.all(members.map((member) => member.stop(signal)));
  const stopMs = performance.now() - begun;
  const started = performance.now();
  const startedWallMs = Date.now();
  const caughtUp = Promise.all(members.map((member) => member.start()));
  await Promise.race([Promise.all(members.map((member) => serves(member))), caughtUp]);
  const startMs = performance.now() - started;
  load.pause();
  const parts = members.map(({ name, program }) => `${name}: ${startParts(program.lines, startedWallMs)}`);
  await caughtUp;
  const caughtUpMs = performance.now() - started;
  await Promise.all(members.map((member) => checkValues(member, ledger)));
  return { signal, members: members.length, stopMs, startMs, caughtUpMs, parts };
}

async function waitForLoad(
  ledger: Ledger,
  { loadMs: [least, most], valueBytes }: RestartsOptions,
): Promise<void> {
  const before = ledger.acknowledged;
  const begun = performance.now();
  await sleep(least);
  while (performance.now() - begun < most && (ledger.acknowledged - before) * valueBytes < LOAD_BYTES)
    await sleep(100);
}

/** A serializable read needs no other member. */
async function serves({ clientUrl }: Member): Promise<void> {
  await eventually(
    `${clientUrl} serves`,
    async () => {
      const response = await fetch(`${clientUrl}/health?serializable=true`, {
        signal: AbortSignal.timeout(1_000),
      });
      return response.status === 200;
    },
    { everyMs: 10, timeoutMs: CATCH_UP_MS },
  );
}

/** Waits until the member has the acknowledged revision, then checks all acknowledged values. */
async function checkValues(member: Member, ledger: Ledger): Promise<void> {
  const kept = ledger.snapshot();
  const last = Math.max(0, ...[...kept.values()].map(({ revision }) => revision));
  const client = new LoadClient(member.endpoint);
  try {
    await eventually(
      `${member.name} reaches revision ${last}`,
      async () => {
        member.program.mustBeAlive();
        const { header } = await range(
          client,
          RangeRequest.create({ key: Buffer.of(0), serializable: true }),
        );
        return (header?.revision ?? 0) >= last;
      },
      { timeoutMs: CATCH_UP_MS },
    );
    const values = await everything(client);
    for (const [key, one] of kept) {
      const fault = ledger.fault(key, values.get(key), one);
      if (fault !== undefined) throw new Error(`${member.name}: ${fault}`);
    }
  } finally {
    client.close();
  }
}

async function everything(client: LoadClient): Promise<Map<string, Buffer>> {
  const values = new Map<string, Buffer>();
  for (let key = Buffer.of(0); ;) {
    const request = { key, rangeEnd: Buffer.of(0), limit: PAGE, serializable: true };
    const { kvs, more } = await range(client, RangeRequest.create(request));
    for (const kv of kvs) values.set(kv.key.toString(), kv.value);
    const last = kvs.at(-1);
    if (!more || last === undefined) return values;
    key = Buffer.concat([last.key, Buffer.of(0)]);
  }
}

async function range(client: LoadClient, request: RangeRequest): Promise<RangeResponse> {
  const answer = await client.unary(KV.methods.range, request);
  if ('code' in answer) throw new Error(`range: ${answer.details}`);
  return answer.messages[0] as RangeResponse;
}

/** Keeps the history short, as kube-apiserver does. */
async function compact(endpoints: readonly string[], ledger: Ledger): Promise<void> {
  const revisions = [...ledger.snapshot().values()].map(({ revision }) => revision);
  const request = CompactionRequest.create({ revision: Math.min(...revisions) });
  await eventually(`a compaction at revision ${request.revision}`, async () => {
    for (const endpoint of endpoints) {
      const client = new LoadClient(endpoint, { timeoutMs: 5_000 });
      const answer = await client.unary(KV.methods.compact, request);
      client.close();
      if ('messages' in answer || answer.details.includes('compacted')) return true;
    }
    return false;
  });
}
