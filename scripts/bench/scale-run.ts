import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { etcdctl } from './client.ts';
import { type LoadResult, runLoad } from './load.ts';
import type { StoreRun } from './scale-costs.ts';
import { BenchServer, type System } from './servers.ts';
import { processorMs } from '../../e2e/harness/processes.ts';
import { Etcdctl } from '../../e2e/harness/etcdctl.ts';

/** Objects of one transaction of the scenario `fill`. */
const FILL_OBJECTS = 100;
const STEADY_RATE = 1000;
const QUIET_MS = 10_000;
const MANY_MINUTES_MS = 60 * 60_000;

export interface ScaleOptions {
  readonly system: System;
  readonly keys: number;
  /** Number of keys that are changed before the compaction. */
  readonly changes: number;
  readonly valueSize: number;
  readonly flags: readonly string[];
  readonly log: (text: string) => void;
}

const round = (value: number, digits = 1): number => Number(value.toFixed(digits));
const megabytes = (bytes: number): number => Math.round(bytes / 1e6);
const sleep = (ms: number): Promise<void> => new Promise((wake) => setTimeout(wake, ms));

/**
 * Fills a server with `keys` objects and measures what depends on their number: see `StoreRun`. The member is alone, its
 * data is new, and its quota is off.
 */
export async function runScale({
  system,
  keys,
  changes,
  valueSize,
  flags,
  log,
}: ScaleOptions): Promise<StoreRun> {
  const server = new BenchServer(system, [
    '--quota-backend-bytes',
    system === 'etcd' ? '68719476736' : '-1',
    ...flags,
  ]);
  const directory = mkdtempSync(join(tmpdir(), 'keystead-scale-'));
  const figures: Record<string, number> = {};
  const note = (more: Readonly<Record<string, number>>): void => {
    Object.assign(figures, more);
    log(
      Object.entries(more)
        .map(([name, value]) => `${name} ${value}`)
        .join(', '),
    );
  };
  const load = (args: readonly string[], during?: () => Promise<unknown>): Promise<LoadResult> => {
    const { pid } = server;
    const all = [...args, '--keys', String(keys), '--value-size', String(valueSize), '--filled'];
    return runLoad(server.endpoint, all, [[pid]], [{ pid, thread: pid }], during);
  };
  const steady = (during: () => Promise<unknown>): Promise<LoadResult> =>
    load(
      ['--scenario', 'steady-put', '--clients', '100', '--conns', '10', '--rate', String(STEADY_RATE)],
      during,
    );
  const count = (full: number, etcd: number): string => String(system === 'etcd' ? etcd : full);

  try {
    await server.start();
    const fill = await load([
      ...['--scenario', 'fill', '--clients', '32', '--conns', '4'],
      ...['--total', String(keys / FILL_OBJECTS)],
    ]);
    note({
      loadRate: Math.round(fill.rate * FILL_OBJECTS),
      loadCoreUs: round(coreUs(fill) / FILL_OBJECTS),
      loadAllUs: round(allUs(fill) / FILL_OBJECTS),
      loadedMb: megabytes(server.rss()),
      loadedPeakMb: megabytes(server.peakRss()),
      loadedDiskMb: megabytes(server.disk()),
    });

    const pages = ['--scenario', 'pages', '--clients', '8', '--conns', '8'];
    const page = await load([...pages, '--warm', count(400, 8), '--total', count(2000, 40)]);
    note({
      pageRate: round(page.rate),
      pageCoreUs: Math.round(coreUs(page)),
      pageAllUs: Math.round(allUs(page)),
      pageP99: round(page.p99),
    });
    const counted = await load(['--scenario', 'count', '--warm', count(100, 2), '--total', count(2000, 10)]);
    note({ countMs: round(counted.p50, 2), countAllUs: Math.round(allUs(counted)) });
    const many = ['--clients', '100', '--conns', '10', '--warm', '20000', '--total', '50000'];
    const get = await load(['--scenario', 'get', ...many]);
    note({
      getRate: Math.round(get.rate),
      getCoreUs: round(coreUs(get)),
      getAllUs: round(allUs(get)),
      getP99: round(get.p99),
    });
    const put = await load(['--scenario', 'put', ...many]);
    note({
      putRate: Math.round(put.rate),
      putCoreUs: round(coreUs(put)),
      putAllUs: round(allUs(put)),
      putP99: round(put.p99),
    });
    note({ usedMb: megabytes(server.rss()), usedPeakMb: megabytes(server.peakRss()) });

    await server.stop();
    note({ diskMb: megabytes(server.disk()) });
    const restartMs = Math.round(await server.start());
    const restartCpuMs = processorMs(server.pid);
    await sleep(3000);
    note({ restartMs, restartCpuMs, restartMb: megabytes(server.rss()) });
    await server.stop('SIGKILL');
    note({ killRestartMs: Math.round(await server.start()), killRestartCpuMs: processorMs(server.pid) });
    const cold = await load([...pages, '--total', count(200, 16)]);
    note({ coldPageP99: round(cold.p99), readMb: megabytes(server.rss()) });

    const changing = [
      '--scenario',
      'fill',
      '--clients',
      '16',
      '--conns',
      '4',
      '--total',
      String(changes / FILL_OBJECTS),
    ];
    const changed = await load(changing);
    note({
      changes,
      changeRate: Math.round(changed.rate * FILL_OBJECTS),
      changeAllUs: round(allUs(changed) / FILL_OBJECTS),
      changedDiskMb: megabytes(server.disk()),
    });
    const quiet = await steady(() => sleep(QUIET_MS));
    note({
      quietCpuS: round((quiet.processorTime[0]?.allUs ?? NaN) / 1e6),
      quietS: round(quiet.seconds),
      quietP50: round(quiet.p50, 2),
      quietP99: round(quiet.p99),
      quietMax: round(quiet.max),
    });
    const ctl = new Etcdctl(server.endpoint, ['--command-timeout=3600s']);
    const revision = await revisionOf(server.endpoint);
    const compacting = await steady(() =>
      ctl.run(['compaction', String(revision), '--physical'], { timeoutMs: MANY_MINUTES_MS }),
    );
    note({
      compactionS: round(compacting.seconds),
      compactionCpuS: round((compacting.processorTime[0]?.allUs ?? NaN) / 1e6),
      compactionP50: round(compacting.p50, 2),
      compactionP99: round(compacting.p99),
      compactionMax: round(compacting.max),
      compactedMb: megabytes(server.rss()),
      compactedDiskMb: megabytes(server.disk()),
    });
    const file = join(directory, 'snapshot.db');
    const saving = await steady(() => ctl.run(['snapshot', 'save', file], { timeoutMs: MANY_MINUTES_MS }));
    note({
      snapshotS: round(saving.seconds),
      snapshotP99: round(saving.p99),
      snapshotMax: round(saving.max),
      snapshotMb: megabytes(statSync(file).size),
      snapshotPeakMb: megabytes(server.peakRss()),
    });
    await server.stop();
    note({ finalRestartMs: Math.round(await server.start()) });
    return { system, keys, valueSize, date: new Date().toISOString().slice(0, 10), figures };
  } finally {
    await server.remove();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Microseconds of the main thread per operation. */
export function coreUs(result: LoadResult): number {
  return (result.threadUs[0] ?? NaN) / result.operations;
}

/** Microseconds of all threads per operation. */
export function allUs(result: LoadResult): number {
  return (result.processorTime[0]?.allUs ?? NaN) / result.operations;
}

async function revisionOf(endpoint: string): Promise<number> {
  const answer = JSON.parse(await etcdctl(endpoint, ['get', 'none', '-w', 'json'])) as {
    header: { revision: number };
  };
  return answer.header.revision;
}
