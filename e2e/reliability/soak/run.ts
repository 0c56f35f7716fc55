import { setTimeout as sleep } from 'node:timers/promises';
import type { Member, MemberKind } from '../../harness/member.ts';
import { eventually } from '../../harness/wait.ts';
import { SoakLoad } from './load.ts';
import { SoakCluster, usageOf } from './members.ts';
import { notFlat, type Sample } from './samples.ts';

const SAMPLES = 240;
const LEAST_SAMPLE_MS = 1_000;
const MB = 1 << 20;
const BACK_MS = 60_000;

export interface SoakOptions {
  readonly kind: MemberKind;
  readonly minutes: number;
  /** Requests of all clients together in a second. */
  readonly perSecond: number;
  /** Number of restarts, replacements and rotations during the soak. */
  readonly events: number;
  readonly onSample?: (samples: readonly Sample[]) => void;
}

export interface SoakRun {
  readonly samples: readonly Sample[];
  /** Figures that have increased, and failures. */
  readonly problems: readonly string[];
  readonly answered: number;
  readonly failed: number;
  readonly watchEvents: number;
}

/**
 * Runs a cluster under mixed load. Its history is compacted, members are restarted and replaced, and certificates are
 * rotated. The first member is never restarted, so its resource usage must not increase.
 */
export async function soak(options: SoakOptions): Promise<SoakRun> {
  const { kind, minutes, perSecond, events } = options;
  const lengthMs = minutes * 60_000;
  const cluster = await SoakCluster.create(kind);
  const [first] = cluster.members;
  const load = new SoakLoad(cluster, perSecond);
  const samples: Sample[] = [];
  const problems: string[] = [];
  let missed = 0;
  const begun = performance.now();
  const passed = (): number => performance.now() - begun;
  try {
    const everyMs = Math.max(LEAST_SAMPLE_MS, lengthMs / SAMPLES);
    for (let done = 0; passed() < lengthMs;) {
      await sleep(everyMs);
      for (const member of cluster.members) {
        const sample = await sampled(member, passed() / 1_000, load);
        if (sample === undefined) missed += 1;
        else samples.push(sample);
      }
      options.onSample?.(samples);
      await load.compact();
      // The last quarter is left alone, as are the first samples.
      if (done < events && passed() > (lengthMs * (done + 1)) / (events + 2)) {
        await event(done, cluster, load);
        done += 1;
      }
    }
    await load.stop();
    if (first !== undefined) problems.push(...notFlat(samples, first.name));
    await equal(cluster);
    if (load.failed > load.answered / 20)
      problems.push(`${load.failed} requests failed and ${load.answered} were answered`);
    if (missed > samples.length / 10)
      problems.push(`members did not answer ${missed} times when they were sampled`);
    if (load.events === 0) problems.push('the watchers saw nothing');
  } catch (error) {
    problems.push(String(error));
  } finally {
    await load.stop();
    await cluster.destroy();
  }
  const { answered, failed, events: watchEvents } = load;
  return { samples, problems, answered, failed, watchEvents };
}

/** What happens, in turn: to the second and third member only. */
async function event(index: number, cluster: SoakCluster, load: SoakLoad): Promise<void> {
  const member = cluster.members[1 + (index % 2)];
  if (member === undefined) throw new Error('the cluster has three members');
  switch (index % 4) {
    case 0:
      await member.restart('SIGTERM');
      break;
    case 1:
      cluster.rotate();
      break;
    case 2:
      await cluster.replace(member);
      break;
    case 3:
      await member.restart('SIGKILL');
      break;
  }
  load.connectAnew();
}

/** @returns undefined if the member does not answer in time, for example on a busy machine */
async function sampled(member: Member, seconds: number, load: SoakLoad): Promise<Sample | undefined> {
  const usage = await usageOf(member).catch(() => {
    member.program.mustBeAlive();
    return undefined;
  });
  if (usage === undefined) return undefined;
  return {
    seconds: Math.round(seconds),
    member: member.name,
    residentMb: Math.round((usage.residentBytes / MB) * 10) / 10,
    files: usage.files,
    diskMb: Math.round((usage.diskBytes / MB) * 10) / 10,
    processorSeconds: usage.processorSeconds,
    loopDelayMs: Math.round((usage.loopDelaySeconds ?? 0) * 1e5) / 100,
    answered: load.answered,
    failed: load.failed,
  };
}

/** Checks that all members have the same data at the end. */
async function equal(cluster: SoakCluster): Promise<void> {
  await eventually(
    'equal stores on all members',
    async () => {
      const statuses = JSON.parse(await cluster.ctl().ok(['endpoint', 'status', '-w', 'json'])) as {
        Status: { header: { revision: number } };
      }[];
      const revision = Math.min(...statuses.map(({ Status }) => Status.header.revision));
      const lines = (await cluster.ctl().ok(['endpoint', 'hashkv', `--rev=${revision}`])).trim().split('\n');
      const hashes = new Set(lines.map((line) => line.split(', ').slice(1).join()));
      if (hashes.size > 1) throw new Error([...hashes].join(' and '));
      return lines.length === cluster.members.length;
    },
    { timeoutMs: BACK_MS, everyMs: 500 },
  );
}
