import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { System } from './servers.ts';

/** The operations whose costs are measured. A page is a list of 500 objects of 1 KB; an event is one at one watcher. */
export const operations = ['put', 'update', 'get', 'page', 'event', 'renewal'] as const;
export type Operation = (typeof operations)[number];

/** Microseconds of processor time per operation. */
export interface Cost {
  /** The main thread. */
  readonly core: number;
  /** All threads of the process. */
  readonly all: number;
}

export type Costs = Readonly<Record<Operation, Cost>>;

/** Figures of one run of `scale.ts --keys`. Their names end with the unit; those without one are rates per second or milliseconds. */
export interface StoreRun {
  readonly system: System;
  readonly keys: number;
  readonly valueSize: number;
  readonly date: string;
  readonly figures: Readonly<Record<string, number>>;
}

/** Rates of a server that may use one core or two. With two, the client uses them as well. */
export interface CoresRun {
  readonly system: System;
  readonly servingThreads: number;
  readonly cores: number;
  readonly operation: 'put' | 'get';
  readonly rate: number;
  readonly all: number;
}

/** What the model is computed from: `scale-costs.json`. */
export interface Measured {
  readonly machine: string;
  readonly date: string;
  readonly etcd: Costs;
  readonly keystead: Costs;
  /** Keystead with one serving thread. */
  readonly serving: Costs;
  readonly cores: readonly CoresRun[];
  readonly runs: readonly StoreRun[];
}

const file = fileURLToPath(new URL('scale-costs.json', import.meta.url));

export function readMeasured(): Measured {
  return JSON.parse(readFileSync(file, 'utf8')) as Measured;
}

export function writeMeasured(measured: Measured): void {
  writeFileSync(file, `${JSON.stringify(measured, null, 2)}\n`);
}

/** Replaces the run of the same system and size. */
export function withRun(measured: Measured, run: StoreRun): Measured {
  const others = measured.runs.filter(
    ({ system, keys, valueSize }) =>
      system !== run.system || keys !== run.keys || valueSize !== run.valueSize,
  );
  const runs = [...others, run].sort((a, b) => a.keys - b.keys || (a.system < b.system ? -1 : 1));
  return { ...measured, runs };
}
