import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { PutRequest, TxnRequest } from '../../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../../src/wire/services.ts';
import { runCommand } from '../../harness/command.ts';
import { Member, type MemberKind } from '../../harness/member.ts';
import { repositoryRoot, requirePeer } from '../../harness/paths.ts';
import { Program } from '../../harness/program.ts';
import { RpcClient } from '../../harness/rpc-client.ts';
import { eventually } from '../../harness/wait.ts';
import type { rounds } from './frames.ts';
import { processorMs } from '../../harness/processes.ts';

export type FloodKind = keyof typeof rounds | 'closing' | 'transactions' | 'lists';

export const floodKinds: readonly FloodKind[] = [
  'resets',
  'unfinished puts',
  'settings',
  'pings',
  'closing',
  'transactions',
  'lists',
];

export interface FloodFigures {
  /** Of a client that behaves: its puts, one after another with short pauses, during the flood. */
  readonly puts: number;
  /** 99th percentile of its puts before the flood; NaN if they were not measured. */
  readonly quietP99Ms: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly slowestMs: number;
  /** Frames of the flood (connections closed, transactions done, lists read) that the server took, and on how many connections. */
  readonly frames: number;
  readonly failed: number;
  readonly connections: number;
  /** Processor time of the server, user and system, during the flood. */
  readonly serverMs: number;
  /** The longest delay of Keystead's event loop during the flood; NaN for etcd. */
  readonly loopDelayMs: number;
}

const CLOSED_CONNECTIONS = 10_000;
const PAUSE_MS = 5;
const TXN_CLIENTS = 64;
const TXNS_A_SECOND = 60;
const TXN_BYTES = 1_200_000;
/** Each list has 100 MB. */
const LISTED = { clients: 8, keys: 10_000, bytes: 10_000 };
const FILL_KEYS_A_TXN = 100;
const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Puts while `isOver` is false. Milliseconds of each, the shortest first. */
async function putsUntil(client: RpcClient, isOver: () => boolean): Promise<number[]> {
  const put = PutRequest.create({ key: Buffer.from('honest'), value: Buffer.from('value') });
  const times: number[] = [];
  do {
    const startedMs = performance.now();
    const answer = await client.unary(KV.methods.put, put);
    if (!('messages' in answer)) throw new Error(`a put failed during a flood: ${answer.details}`);
    times.push(performance.now() - startedMs);
    await sleep(PAUSE_MS);
  } while (!isOver());
  return times.sort((a, b) => a - b);
}

interface Flood {
  readonly frames: number;
  readonly connections: number;
  readonly failed: number;
}

async function runFlooder(kind: string, port: number, seconds: number): Promise<{ flood: Promise<Flood> }> {
  const count = kind === 'closing' ? CLOSED_CONNECTIONS : kind === 'lists' ? LISTED.clients : 4;
  const args = ['--import', 'tsx', file('flooder.ts'), kind, String(port), String(count), String(seconds)];
  const program = new Program('flooder', process.execPath, args, { cwd: repositoryRoot });
  const line = (start: string): Promise<string> =>
    eventually(
      `the flooder's ${start}`,
      () => {
        const found = program.lines.find((each) => each.startsWith(start));
        if (found === undefined) program.mustBeAlive();
        return found;
      },
      { timeoutMs: 60_000, everyMs: 5 },
    );
  if (kind === 'closing') await line('closing');
  const flood = line('{').then((json) => ({ failed: 0, ...(JSON.parse(json) as Omit<Flood, 'failed'>) }));
  return { flood };
}

/** Large transactions of many clients at once, each sending the next when it has its answer. */
async function transactions(port: number, seconds: number): Promise<Flood> {
  const total = TXNS_A_SECOND * seconds;
  const { stdout } = await runCommand(
    requirePeer('benchmark'),
    [
      ...['txn-put', `--endpoints=127.0.0.1:${port}`, '--txn-ops=1', `--clients=${TXN_CLIENTS}`, '--conns=1'],
      ...[`--total=${total}`, `--val-size=${TXN_BYTES}`, '--key-space-size=100'],
    ],
    { timeoutMs: 120_000 },
  );
  const failed = [...stdout.matchAll(/^\s+\[(\d+)\]\s+/gm)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  );
  return { frames: total - failed, failed, connections: 1 };
}

/** Writes the keys that the flood of lists reads. */
async function fillForLists(client: RpcClient): Promise<void> {
  const value = randomBytes(LISTED.bytes);
  for (let first = 0; first < LISTED.keys; first += FILL_KEYS_A_TXN) {
    const success = Array.from({ length: FILL_KEYS_A_TXN }, (_, at) => ({
      request: {
        case: 'requestPut' as const,
        value: PutRequest.create({ key: Buffer.from(`list/${first + at}`), value }),
      },
    }));
    const answer = await client.unary(KV.methods.txn, TxnRequest.create({ success }));
    if (!('messages' in answer)) throw new Error(`the lists could not be filled: ${answer.details}`);
  }
}

function atFraction(sorted: readonly number[], fraction: number): number {
  return sorted[Math.floor(sorted.length * fraction)] ?? NaN;
}

/**
 * Puts of a client that behaves, beside one flood, on a server of its own.
 *
 * @param quietSeconds how long its puts are measured before the flood
 */
export async function measureFlood(
  server: MemberKind,
  kind: FloodKind,
  seconds: number,
  quietSeconds = 0,
): Promise<FloodFigures> {
  const env: NodeJS.ProcessEnv =
    server === 'keystead' ? { NODE_OPTIONS: `--import=${file('loop-delay-preload.mjs')}` } : {};
  const member = await Member.start({ kind: server, env });
  const client = new RpcClient(member.endpoint);
  try {
    await putsUntil(client, () => true);
    if (kind === 'lists') await fillForLists(client);
    const quietEndMs = performance.now() + quietSeconds * 1000;
    const quiet = await putsUntil(client, () => performance.now() >= quietEndMs);
    const { flood } =
      kind === 'transactions'
        ? { flood: transactions(member.clientPort, seconds) }
        : await runFlooder(kind, member.clientPort, seconds);
    const startedMs = processorMs(member.pid);
    if (server === 'keystead') await loopDelayMs(member);
    let isOver = false;
    const done = flood.finally(() => {
      isOver = true;
    });
    const times = await putsUntil(client, () => isOver);
    const { frames, connections, failed } = await done;
    return {
      puts: times.length,
      quietP99Ms: quietSeconds > 0 ? atFraction(quiet, 0.99) : NaN,
      medianMs: atFraction(times, 0.5),
      p99Ms: atFraction(times, 0.99),
      slowestMs: times.at(-1) ?? NaN,
      frames,
      connections,
      failed,
      serverMs: processorMs(member.pid) - startedMs,
      loopDelayMs: server === 'keystead' ? await loopDelayMs(member) : NaN,
    };
  } finally {
    client.close();
    await member.destroy();
  }
}

/** The longest delay of the event loop since this was asked before. */
async function loopDelayMs({ program }: Member): Promise<number> {
  const start = 'event loop delay ';
  const seen = program.lines.filter((line) => line.startsWith(start)).length;
  program.signal('SIGUSR2');
  const line = await eventually(
    'the delay of the event loop',
    () => program.lines.filter((each) => each.startsWith(start))[seen],
  );
  return (JSON.parse(line.slice(start.length)) as { max: number }).max;
}
