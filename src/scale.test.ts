import { describe, expect, it } from 'vitest';
import { operations } from '../scripts/bench/scale-costs.ts';
import {
  at,
  bestThreads,
  type Cluster,
  clusterLoad,
  coresUsed,
  etcdRate,
  lineFromOne,
  lineThrough,
  mostNodes,
  rateAlone,
  rateWithThreads,
  relistSeconds,
  serialShare,
  servingUs,
  speedup,
} from '../scripts/bench/scale-model.ts';
import { readScalePage, renderScalePage } from '../scripts/scale-page.ts';

/** Removes the column widths that the formatter adds to tables. */
function bare(text: string): string {
  return text.replaceAll(/ *\| */g, '|').replaceAll(/-{3,}/g, '---');
}

it('docs/scale.md matches the model; if not, run: npx tsx scripts/scale-page.ts', () => {
  const text = readScalePage();
  expect(bare(renderScalePage(text))).toBe(bare(text));
});

describe('rates', () => {
  const alone = { core: 40, all: 50 };
  const serving = { core: 10, all: 60 };

  it('are limited by all threads on one core, and by the main thread on more', () => {
    expect(rateAlone(alone, 1)).toBe(20_000);
    expect(rateAlone(alone, 2)).toBe(25_000);
    expect(rateAlone(alone, 32)).toBe(25_000);
  });

  it('with serving threads are limited by the first part that is used up', () => {
    expect(servingUs(alone, serving)).toBe(40);
    expect(rateWithThreads(alone, serving, 2, 1)).toBe(25_000);
    expect(rateWithThreads(alone, serving, 4, 2)).toBe(50_000);
    expect(rateWithThreads(alone, serving, 4, 3)).toBeCloseTo(66_667, 0);
    expect(rateWithThreads(alone, serving, 32, 8)).toBe(100_000);
  });

  it('use no more serving threads than help', () => {
    expect(bestThreads(alone, serving, 32)).toEqual({ threads: 4, rate: 100_000 });
    expect(bestThreads(alone, serving, 1)).toEqual({ threads: 1, rate: 1e6 / 60 });
  });

  it('of etcd lie between a serial share and none', () => {
    expect(serialShare(2)).toBe(0);
    expect(serialShare(1)).toBe(1);
    expect(speedup(2, serialShare(1.6))).toBeCloseTo(1.6);
    expect(etcdRate({ core: 0, all: 100 }, 8, 0.25)).toEqual({
      low: 10_000 / (0.25 + 0.75 / 8),
      high: 80_000,
    });
  });
});

describe('clusters', () => {
  const cluster: Cluster = { nodes: 1000, podsPerNode: 36, podSeconds: 3600, apiservers: 3 };
  const costs = Object.fromEntries(
    operations.map((operation) => [operation, { core: 10, all: 20 }]),
  ) as never;

  it('renew the leases of nodes and change pods', () => {
    const load = clusterLoad(cluster);
    expect(load.podsPerSecond).toBe(10);
    expect(load.updates).toBeCloseTo(100 + 1000 / 300 + 120 + 5);
    expect(load.watchEvents).toBeCloseTo(3 * load.updates);
    expect(load.puts).toBe(120);
  });

  it('need the sum of the costs of their requests', () => {
    const load = clusterLoad(cluster);
    const operationsPerSecond = load.updates + load.puts + load.gets + load.watchEvents;
    expect(coresUsed(load, costs, 'core')).toBeCloseTo((operationsPerSecond * 10) / 1e6);
    expect(relistSeconds(load, costs, 'all')).toBeCloseTo((load.objects / 500) * 20e-6);
  });

  it('have a largest number of nodes for a share of a core', () => {
    const nodes = mostNodes(cluster, 0.6, (load) => coresUsed(load, costs, 'core'));
    const used = (count: number): number =>
      coresUsed(clusterLoad({ ...cluster, nodes: count }), costs, 'core');
    expect(used(nodes)).toBeLessThanOrEqual(0.6);
    expect(used(nodes + 1)).toBeGreaterThan(0.6);
  });
});

it('lines go through what was measured', () => {
  const run = (keys: number, diskMb: number) =>
    ({ system: 'keystead', keys, valueSize: 512, date: '', figures: { diskMb } }) as const;
  const line = lineThrough(run(1e6, 100), run(10e6, 820), 'diskMb');
  expect(at(line, 1e6)).toBeCloseTo(100);
  expect(at(line, 50e6)).toBeCloseTo(4020);
  expect(at(lineFromOne(run(1e6, 100), 'diskMb', 20), 10e6)).toBeCloseTo(820);
  expect(() => lineThrough(run(1e6, 100), run(10e6, 820), 'other')).toThrow(
    'the run of 1000000 keys has no other',
  );
});
