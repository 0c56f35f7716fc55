import { describe, expect, it } from 'vitest';
import { partitions } from './partitions.ts';
import { simulate } from './simulation.ts';

const SEEDS = 5;
/** Two election timeouts of the default configuration. */
const BACK_WITHIN_MS = 2000;

describe.each([3, 5])('%i members, partitioned', (members) => {
  it.each(partitions.map((partition) => [partition.name, partition] as const))(
    '%s: consistent, and in service again soon after',
    async (_name, partition) => {
      const times: number[] = [];
      for (let seed = 1; seed <= SEEDS; seed += 1) {
        const { failure, trace, backAfterMs } = await simulate({ seed, members, minutes: 0, partition });
        if (failure !== undefined) expect.fail(`seed ${seed}: ${failure}\n${trace.slice(-40).join('\n')}`);
        times.push(...backAfterMs);
      }
      expect(times.length).toBeGreaterThan(0);
      expect(Math.max(...times)).toBeLessThanOrEqual(BACK_WITHIN_MS);
    },
    60_000,
  );
});
