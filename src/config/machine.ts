import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { cpuQuota } from './cpu-quota.ts';

/** What this process may use. */
export interface Machine {
  readonly platform: string;
  readonly nodeVersion: string;
  /** Processors that the process may run on. */
  readonly processors: number;
  /** The time that it may use, in cores; undefined without a limit. */
  readonly cpuQuota: number | undefined;
  readonly memoryBytes: number;
}

export function thisMachine(): Machine {
  return {
    platform: process.platform,
    nodeVersion: process.versions.node,
    processors: availableParallelism(),
    cpuQuota: cpuQuota(textOf),
    memoryBytes: availableMemory(),
  };
}

/** The memory of the machine, or the limit of the process. */
export function availableMemory(): number {
  // Without a limit of the process this is 0 or a huge number.
  const allowed = process.constrainedMemory();
  return allowed > 0 ? Math.min(allowed, totalmem()) : totalmem();
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
