import { describe, expect, it } from 'vitest';
import { defaultServingThreads } from './default-serving-threads.ts';
import { loadConfig } from './load.ts';
import type { Machine } from './machine.ts';
import { parseUrls } from './urls.ts';

const GIB = 1024 ** 3;

const machine = (differences: Partial<Machine> = {}): Machine => ({
  platform: 'linux',
  nodeVersion: '22.12.0',
  processors: 8,
  cpuQuota: undefined,
  memoryBytes: 8 * GIB,
  ...differences,
});

const threadsOf = (differences: Partial<Machine>, urls = ['http://127.0.0.1:2379']): number =>
  defaultServingThreads(machine(differences), parseUrls(urls)).threads;

describe('the default number of serving threads', () => {
  it.each([
    [1, 0],
    [2, 0],
    [3, 0],
    [4, 2],
    [5, 3],
    [6, 4],
    [64, 4],
  ])('on %d processors is %d', (processors, threads) => {
    expect(threadsOf({ processors })).toBe(threads);
  });

  it.each([
    [0.25, 0],
    [2.9, 0],
    [3, 0],
    [4.5, 2],
    [100, 4],
  ])('with the time of %d cores is %d', (cpuQuota, threads) => {
    expect(threadsOf({ cpuQuota })).toBe(threads);
  });

  it('depends on the smaller of processors and quota', () => {
    expect(threadsOf({ processors: 4, cpuQuota: 6 })).toBe(2);
  });

  it.each([
    [GIB / 4, 0],
    [GIB / 2, 2],
    [GIB, 4],
  ])('with %d bytes of memory is %d', (memoryBytes, threads) => {
    expect(threadsOf({ memoryBytes })).toBe(threads);
  });

  it.each(['20.20.2', '22.11.0', '23.0.0'])('is none with Node.js %s', (nodeVersion) => {
    expect(threadsOf({ nodeVersion })).toBe(0);
  });

  it('is none where listeners cannot share a port', () => {
    expect(threadsOf({ platform: 'darwin' })).toBe(0);
    expect(threadsOf({}, ['http://127.0.0.1:0', 'http://127.0.0.1:2379'])).toBe(0);
    expect(threadsOf({}, ['unix:///run/keystead.sock'])).toBe(0);
    expect(threadsOf({}, ['unix:///run/keystead.sock', 'http://127.0.0.1:2379'])).toBe(4);
  });
});

describe('--keystead-serving-threads', () => {
  async function load(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    const outcome = await loadConfig({ args, environment, machine });
    if (outcome.kind !== 'ready') throw new Error(JSON.stringify(outcome));
    const line = outcome.late.find(({ message }) => message === 'chose the number of serving threads');
    return { threads: outcome.config.servingThreads, fields: line?.fields };
  }

  it('has a default that the log explains', async () => {
    for (const args of [[], ['--keystead-serving-threads=auto']])
      expect(await load(args)).toEqual({
        threads: 4,
        fields: {
          'serving-threads': 4,
          reason: 'more help little',
          processors: 8,
          'cpu-quota': 'none',
          'memory-bytes': 8 * GIB,
        },
      });
  });

  it('has the number that is given', async () => {
    expect(await load(['--keystead-serving-threads=0'])).toEqual({ threads: 0, fields: undefined });
    expect(await load(['--keystead-serving-threads=1'])).toEqual({ threads: 1, fields: undefined });
    const variable = { ETCD_KEYSTEAD_SERVING_THREADS: '0' };
    expect(await load([], variable)).toEqual({ threads: 0, fields: undefined });
  });

  it('is refused if it is neither a number nor auto', async () => {
    const outcome = await loadConfig({ args: ['--keystead-serving-threads=many'], environment: {}, machine });
    expect(outcome).toMatchObject({ kind: 'exit', exitCode: 2 });
  });
});
