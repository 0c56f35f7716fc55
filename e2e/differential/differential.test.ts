import { describe, expect, it } from 'vitest';
import { Member, serverUnderTest } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { DifferentialRun, describeDifference } from './run.ts';

const missing = missingPeers('etcd');
const seeds = numberFrom('KEYSTEAD_DIFFERENTIAL_SEEDS', 3);
const firstSeed = numberFrom('KEYSTEAD_DIFFERENTIAL_FIRST_SEED', 1);
const requests = numberFrom('KEYSTEAD_DIFFERENTIAL_REQUESTS', 1_500);

describe.skipIf(missing !== undefined)(
  `random requests get the same responses as from etcd ${missing ?? ''}`,
  () => {
    for (let seed = firstSeed; seed < firstSeed + seeds; seed += 1) {
      it(`${requests} requests of seed ${seed}`, async () => {
        const members = await Promise.all([
          Member.start({ kind: 'etcd', name: 'same' }),
          Member.start({ kind: serverUnderTest, name: 'same' }),
        ]);
        try {
          const run = new DifferentialRun(seed, [members[0].endpoint, members[1].endpoint]);
          const differences = await run.run(requests);
          expect(differences.map(describeDifference).join('\n\n')).toBe('');
        } finally {
          await Promise.all(members.map((member) => member.destroy()));
        }
      });
    }
  },
);

function numberFrom(variable: string, otherwise: number): number {
  const value = process.env[variable];
  return value === undefined ? otherwise : Number(value);
}
