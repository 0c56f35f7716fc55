import { describe, expect, it } from 'vitest';
import { serverUnderTest } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { restartsUnderLoad } from './restarts.ts';

const missing = missingPeers('etcdctl', ...(serverUnderTest === 'etcd' ? (['etcd'] as const) : []));
const cases = [
  { members: 1, valueBytes: 1 << 10, rounds: 2, loadMs: [500, 1_000] },
  { members: 1, valueBytes: 16 << 10, rounds: 4, loadMs: [500, 10_000] },
  { members: 3, valueBytes: 64 << 10, rounds: 4, loadMs: [500, 6_000] },
] as const;

describe.skipIf(missing !== undefined)(`members restarted under load ${missing ?? ''}`, () => {
  it.each(cases)(
    'start again and have lost nothing: $members, values of $valueBytes bytes',
    async (options) => {
      const { restarts, acknowledged } = await restartsUnderLoad({ kind: serverUnderTest, ...options });
      const starts = restarts.map(({ signal, startMs }) => `${signal} ${Math.round(startMs)}`).join(', ');
      console.log(`${acknowledged} puts acknowledged; started again after ${starts} ms`);
      expect(restarts).toHaveLength(options.rounds);
    },
    300_000,
  );
});
