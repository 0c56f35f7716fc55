import { describe, expect, it } from 'vitest';
import { serverUnderTest } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { soak } from './soak/run.ts';

const missing = missingPeers('etcdctl', ...(serverUnderTest === 'etcd' ? (['etcd'] as const) : []));

describe.skipIf(missing !== undefined)(`a soak of one minute ${missing ?? ''}`, () => {
  it(
    'does not increase memory, file descriptors, disk space and event loop delay',
    { timeout: 240_000 },
    async () => {
      const run = await soak({ kind: serverUnderTest, minutes: 1, perSecond: 100, events: 4 });
      console.log(`${run.answered} requests answered, ${run.failed} failed, ${run.watchEvents} events seen`);
      expect(run.problems).toEqual([]);
      expect(run.answered).toBeGreaterThan(500);
    },
  );
});
