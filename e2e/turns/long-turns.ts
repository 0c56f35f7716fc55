import { setTimeout as sleep } from 'node:timers/promises';
import { TestCluster } from '../clusters/test-cluster.ts';
import type { Member } from '../harness/member.ts';
import { longTurns } from '../harness/program.ts';
import { largeSteps } from './large-requests.ts';
import { fill, LARGE_LEASE, type StoreSize } from './large-store.ts';
import { LargeWatch } from './large-watch.ts';

/** A member reports a long turn within this time. */
const REPORTED_WITHIN_MS = 150;
/** Of transactions, so that the store is filled fast. */
const FLAGS = ['--max-txn-ops=1000', '--quota-backend-bytes=8000000000'];
const PASSWORD = 'secret';
/** Each lease's keys are read. */
const LONG = { timeoutMs: 240_000 };

export interface TurnsOptions extends StoreSize {
  /** Milliseconds of processor time. */
  readonly boundMs: number;
  /** After the store is filled, only requests whose name contains one of these texts. */
  readonly only?: readonly string[] | undefined;
  /** How often each request is made; once by default. */
  readonly times?: number;
  /** Called with each step's name, its milliseconds and the long turns in it. */
  readonly onStep?: (name: string, ms: number, turns: readonly string[]) => void;
}

/** Does all that grows with the data on members with much of it. @returns the turns over the bound, by step */
export async function longTurnsOf(options: TurnsOptions): Promise<string[]> {
  const found: string[] = [];
  const step = async (name: string, run: () => Promise<unknown>): Promise<void> => {
    const startedMs = performance.now();
    await run();
    const ms = performance.now() - startedMs;
    await sleep(REPORTED_WITHIN_MS);
    const turns = longTurns.splice(0).map((line) => `${name}: ${summaryOf(line)}`);
    found.push(...turns);
    options.onStep?.(name, ms, turns);
  };
  process.env['KEYSTEAD_MAX_TURN_MS'] = String(options.boundMs);
  const cluster = await TestCluster.create(['keystead'], FLAGS);
  const [member] = cluster.members;
  if (member === undefined) throw new Error('a cluster has a member');
  try {
    await step('fill', () => fill(member.endpoint, options));
    if (options.only === undefined) {
      await step('stop and start', () => member.restart());
      await step('kill and start', () => member.restart('SIGKILL'));
      await watchSteps(member, options.watchers, step);
      await leaderSteps(cluster, member, step);
      await authSteps(cluster, member, step);
    }
    const steps = largeSteps.filter(({ name }) => options.only?.some((text) => name.includes(text)) ?? true);
    for (const { name, run } of steps)
      for (let time = 0; time < (options.times ?? 1); time += 1) await step(name, () => run(member));
    await step('stop', () => member.stop());
  } finally {
    await cluster.destroy();
  }
  return found;
}

/** What matters in a line of the turn watch. */
function summaryOf(line: string): string {
  const fields = JSON.parse(line) as Record<string, unknown>;
  const [own, collection, wall] = ['processor-ms', 'collection-ms', 'wall-ms'].map((name) =>
    String(fields[name]),
  );
  const stack = `${String(fields['stack'])}; ${String(fields['functions'])}`;
  return `${own} ms in ${stack} (and ${collection} ms of collections; ${wall} ms passed)`;
}

type RunStep = (name: string, run: () => Promise<unknown>) => Promise<void>;

async function watchSteps(member: Member, watchers: number, step: RunStep): Promise<void> {
  let watch: LargeWatch | undefined;
  await step('open watchers', async () => {
    watch = await LargeWatch.open(member.endpoint, watchers);
  });
  await step('one event to all watchers', async () => watch?.event(Buffer.from('one')));
  await step('one large event to all watchers', async () => watch?.event(Buffer.alloc(10_000)));
  await step('close watchers', () => {
    watch?.close();
    return sleep(REPORTED_WITHIN_MS);
  });
}

/** Another member takes the data in, leads and ends. */
async function leaderSteps(cluster: TestCluster, member: Member, step: RunStep): Promise<void> {
  let other: Member | undefined;
  await step('a member gets a snapshot', async () => {
    other = await cluster.addLearner('keystead', 'other');
    await cluster.promote(other);
  });
  const second = other;
  if (second === undefined) throw new Error('a member was added');
  await step('another member leads', () => cluster.moveLeader(second));
  await step('the first member leads', () => cluster.moveLeader(member));
  await step('a member is removed', () => cluster.remove(second));
}

/** A user that is no administrator puts a key with a lease that has many keys. */
async function authSteps(cluster: TestCluster, member: Member, step: RunStep): Promise<void> {
  const ctl = cluster.ctl(member);
  const root = `--user=root:${PASSWORD}`;
  await step('authentication is enabled', async () => {
    await ctl.ok(['user', 'add', root.slice('--user='.length)]);
    await ctl.ok(['user', 'add', `alice:${PASSWORD}`]);
    await ctl.ok(['role', 'add', 'writer']);
    await ctl.ok(['role', 'grant-permission', 'writer', 'readwrite', '', '--from-key=true']);
    await ctl.ok(['user', 'grant-role', 'alice', 'writer']);
    await ctl.ok(['auth', 'enable']);
  });
  await step('a user puts a key with a large lease', () =>
    ctl.ok([`--user=alice:${PASSWORD}`, 'put', '/user/one', 'value', `--lease=${LARGE_LEASE.toString(16)}`]),
  );
  await step('a user renews and lists leases', async () => {
    await ctl.ok([`--user=alice:${PASSWORD}`, '--command-timeout=240s', 'lease', 'list'], LONG);
    await ctl.ok([root, 'lease', 'timetolive', LARGE_LEASE.toString(16), '--keys'], LONG);
  });
  await step('authentication is disabled', () => ctl.ok([root, 'auth', 'disable']));
}
