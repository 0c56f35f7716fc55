import { checkHistory } from '../../../src/sim/checkers/client-history.ts';
import { checkWatch } from '../../../src/sim/checkers/watch-order.ts';
import { RangeRequest, type RangeResponse } from '../../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../../src/wire/services.ts';
import { HistoryClients } from '../../clusters/history/clients.ts';
import { committedBy } from '../../clusters/history/committed-by.ts';
import { HistoryWatcher } from '../../clusters/history/watcher.ts';
import { TestCluster } from '../../clusters/test-cluster.ts';
import { ShiftedClock } from '../../harness/clock-shift.ts';
import { LoadClient } from '../../harness/load-client.ts';
import type { MemberKind } from '../../harness/member.ts';
import type { TestDisk } from '../../harness/test-disk.ts';
import { eventually } from '../../harness/wait.ts';
import { Availability } from './availability.ts';
import { EndpointUser, LEASED } from './endpoints.ts';
import { type Fault, faults, latencyFaults, type TestEnvironment } from './faults.ts';
import { FaultyHosts, DelayedPeerNetwork } from './hosts.ts';

const CLIENTS = 6;
const VALUE_BYTES = [0, 1 << 10, 4 << 10, 1 << 10, 16 << 10, 1 << 10, 64 << 10];
/** The quota must not stop the writes before the disk is full. */
const FLAGS = ['--quota-backend-bytes=8589934592'];
const WATCH_MS = 60_000;
const LEASES_END_MS = 30_000;

export interface Row {
  readonly fault: string;
  /** Milliseconds without an acknowledged put through any member. */
  readonly outageMs: number;
  /** Milliseconds from the end of the fault to a put through the affected member. */
  readonly backMs: number;
}

export interface MatrixRun {
  readonly rows: readonly Row[];
  /** Failures, for example a member that did not start again or a response that contradicts the history. */
  readonly problems: readonly string[];
  readonly operations: number;
}

export interface MatrixOptions {
  readonly kinds: readonly MemberKind[];
  /** Runs only faults with matching names. */
  readonly only?: RegExp | undefined;
  /** Round-trip time between members. If given, the members use the disk and the network of the machine. */
  readonly roundTripMs?: number | undefined;
  readonly onRow?: (row: Row) => void;
}

/** Injects faults into one cluster under load, one after the other, and checks the history of its clients. */
export async function runMatrix(options: MatrixOptions): Promise<MatrixRun> {
  const { kinds, roundTripMs } = options;
  const hosts = roundTripMs === undefined ? new FaultyHosts(kinds.length) : undefined;
  const delayed =
    roundTripMs === undefined ? undefined : await DelayedPeerNetwork.open(kinds.length, roundTripMs);
  const clocks = new Map<string, ShiftedClock>();
  const environment = (name: string): NodeJS.ProcessEnv => {
    if (name.startsWith('etcd')) return {};
    const clock = new ShiftedClock();
    clocks.set(name, clock);
    return clock.environment;
  };
  let cluster: TestCluster | undefined;
  try {
    const placements = (hosts ?? delayed)?.placements ?? [];
    cluster = await TestCluster.create(kinds, FLAGS, environment, placements);
    return await underLoad({ cluster, hosts, clocks }, options);
  } finally {
    await Promise.all(cluster?.members.map((member) => member.kill()) ?? []);
    for (const { log, store } of hosts?.disks ?? []) {
      log.repair();
      store.repair();
    }
    await cluster?.destroy();
    hosts?.remove();
    delayed?.remove();
  }
}

function chosenFaults({ kinds, only, roundTripMs }: MatrixOptions): readonly Fault[] {
  return (roundTripMs === undefined ? faults : latencyFaults).filter(
    ({ name, members, keysteadOnly }) =>
      members <= kinds.length &&
      (only?.test(name) ?? true) &&
      !(keysteadOnly === true && kinds.includes('etcd')),
  );
}

async function underLoad(environment: TestEnvironment, options: MatrixOptions): Promise<MatrixRun> {
  const { cluster } = environment;
  const endpoints = cluster.members.map(({ endpoint }) => endpoint);
  const clients = new HistoryClients(endpoints, CLIENTS, endpoints.length, VALUE_BYTES);
  const watchers = [
    ...endpoints.map((endpoint) => new HistoryWatcher({ endpoints: [endpoint], prefix: 'k' })),
    new HistoryWatcher({ endpoints, prefix: 'k5' }),
  ];
  const availability = new Availability(endpoints);
  const users = endpoints.map((endpoint) => new EndpointUser(endpoint));
  const rows: Row[] = [];
  const problems: string[] = [];
  for (const fault of chosenFaults(options)) {
    try {
      for (const endpoint of endpoints) await availability.waitForPut(endpoint);
      const row = await injectFault(fault, environment, availability);
      rows.push(row);
      options.onRow?.(row);
    } catch (error) {
      problems.push(`${fault.name}: ${String(error)}`);
      const isRecovered = await recover(environment).then(
        () => true,
        (failure: unknown) => {
          problems.push(`after ${fault.name}: ${String(failure)}`);
          return false;
        },
      );
      if (!isRecovered) break;
    }
  }
  await Promise.all([clients.stop(), availability.stop(), ...users.map((user) => user.stop())]);
  for (const check of [checkLeases(endpoints), checkClientHistory(cluster, clients, watchers)])
    await check.catch((error: unknown) => problems.push(String(error)));
  await Promise.all(watchers.map((watcher) => watcher.stop()));
  if (users.some(({ answered }) => answered === 0))
    problems.push('a member has answered none of the other requests');
  return { rows, problems, operations: clients.answered };
}

async function injectFault(
  fault: Fault,
  environment: TestEnvironment,
  availability: Availability,
): Promise<Row> {
  const begun = performance.now();
  const members = await fault.inject(environment);
  const back = await Promise.all(members.map(({ endpoint }) => availability.waitForPut(endpoint)));
  for (const { name, program } of environment.cluster.members)
    if (!program.alive) throw new Error(`${name} has killed:\n${program.tail()}`);
  return { fault: fault.name, outageMs: availability.outageSince(begun), backMs: Math.max(...back) };
}

/** Repairs everything after a fault that failed, so that the next one can be tested as well. */
async function recover({ cluster, hosts }: TestEnvironment): Promise<void> {
  hosts?.network.heal();
  for (const [at, member] of cluster.members.entries()) {
    if (cluster.alive.includes(member)) member.program.signal('SIGCONT');
    const disks = Object.values(hosts?.disks[at] ?? {}) as TestDisk[];
    if (disks.some(({ failed }) => failed)) await member.kill();
    for (const disk of disks) {
      disk.repair();
      disk.empty();
    }
    if (!cluster.alive.includes(member)) {
      await member.stop();
      await member.start();
    }
  }
}

async function checkLeases(endpoints: readonly string[]): Promise<void> {
  const client = new LoadClient(endpoints[0] ?? '');
  const rangeEnd = Buffer.from(LEASED);
  rangeEnd[rangeEnd.length - 1] = (rangeEnd.at(-1) ?? 0) + 1;
  const request = RangeRequest.create({ key: Buffer.from(LEASED), rangeEnd, countOnly: true });
  await eventually(
    'keys are deleted with their leases',
    async () => {
      const answer = await client.unary(KV.methods.range, request);
      if ('code' in answer) throw new Error(answer.details);
      const { count } = answer.messages[0] as RangeResponse;
      if (count > 0) throw new Error(`${count} keys are left`);
      return true;
    },
    { timeoutMs: LEASES_END_MS },
  ).finally(() => client.close());
}

async function checkClientHistory(
  cluster: TestCluster,
  { history }: HistoryClients,
  watchers: readonly HistoryWatcher[],
): Promise<void> {
  await cluster.settled();
  const revision = (await cluster.statuses())[0]?.Status.header.revision ?? 0;
  for (const { prefix, progress } of watchers)
    await eventually(
      `a watcher of "${prefix}" has everything up to ${revision}; it has ${progress}`,
      () => watchers.every((watcher) => watcher.progress >= revision),
      { timeoutMs: WATCH_MS },
    );
  const committed = await committedBy(cluster);
  const found = [
    checkHistory(history, committed),
    ...watchers.flatMap((watcher) => [watcher.fault, checkWatch(watcher, committed)]),
  ].filter((fault) => fault !== undefined);
  if (found.length > 0) throw new Error(found.join('\n'));
}
