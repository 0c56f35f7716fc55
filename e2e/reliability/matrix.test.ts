import { describe, expect, it } from 'vitest';
import type { MemberKind } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { missingForDisks } from '../harness/test-disk.ts';
import { missingForNetworks } from '../harness/test-network.ts';
import { runMatrix } from './matrix/run.ts';

const missing = missingPeers('etcd', 'etcdctl') ?? missingForDisks() ?? missingForNetworks();

/** A selection of `npm run matrix`. */
const cases: readonly (readonly [string, readonly MemberKind[], RegExp])[] = [
  ['one member', ['keystead'], /kill|power|EIO|full disk of the leader's store|ahead/],
  ['three members', ['keystead', 'keystead', 'keystead'], /power loss of the|EIO|leader cut off|only hears/],
  ['two Keystead and one etcd', ['keystead', 'keystead', 'etcd'], /kill -9 of all|leader and one follower/],
];

describe.skipIf(missing !== undefined)(
  `faults of real processes, disks and networks ${missing ?? ''}`,
  () => {
    it.each(cases)(
      'leave a consistent history, and all members start again: %s',
      async (title, kinds, only) => {
        const { rows, problems, operations } = await runMatrix({ kinds, only });
        for (const { fault, outageMs, backMs } of rows)
          console.log(`${title}: ${fault}: outage ${Math.round(outageMs)} ms, back ${Math.round(backMs)} ms`);
        expect(problems).toEqual([]);
        expect(rows.length).toBeGreaterThan(1);
        expect(operations).toBeGreaterThan(30);
      },
      300_000,
    );
  },
);
