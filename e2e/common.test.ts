import { beforeAll, describe, expect, it } from 'vitest';
import cases from './common-cases.json' with { type: 'json' };
import { excerptOf, isOf, listCommonTests, runCommonTests, type CommonRun } from './harness/common-tests.ts';
import { missingPeers } from './harness/paths.ts';

const missing = missingPeers('common.test', 'etcd', 'etcdctl', 'etcdutl');
const isWhole = process.env['KEYSTEAD_COMMON'] === 'all';
const ATTEMPTS = 3;
const RUN_TIMEOUT_MS = 1_500_000;

type Variant = (typeof cases.variants)[number];

/** Traits that exceptions refer to: the number of members, and whether root sends all requests. */
function hasTrait(variant: Variant, trait: string): boolean {
  return trait === 'any' || variant.clusters.split(',').includes(trait);
}

function testsOf(variant: Variant): string[] {
  const leftOut = cases.leftOut.filter(({ where }) => hasTrait(variant, where)).flatMap(({ tests }) => tests);
  const wanted = isWhole || variant.inSuite === 'all' ? cases.tests : (variant.tests ?? []);
  return wanted.filter((test) => !leftOut.includes(test));
}

/** Some tests or subtests skip themselves. All others must run. */
function maySkip(variant: Variant, name: string): boolean {
  return cases.skipThemselves.some(
    ({ where, tests, depth }) =>
      hasTrait(variant, where) && tests.some((test) => isOf(test, name)) && name.split('/').length > depth,
  );
}

describe.skipIf(missing !== undefined)(`etcd's own tests/common ${missing ?? ''}`, () => {
  for (const variant of cases.variants) {
    const tests = testsOf(variant);
    if (tests.length === 0) continue;
    describe(variant.title, () => {
      let run: CommonRun;
      beforeAll(async () => {
        run = await runCommonTests(tests, {
          variant: variant.clusters,
          attempts: ATTEMPTS,
          timeoutMs: RUN_TIMEOUT_MS,
          maySkip: (name) => maySkip(variant, name),
        });
      }, ATTEMPTS * RUN_TIMEOUT_MS);

      it.each(tests)('%s', (test) => {
        const ran = [...run.outcomes].filter(([name]) => isOf(test, name));
        const notPassed = ran
          .filter(([name, outcome]) => outcome === 'fail' || (outcome === 'skip' && !maySkip(variant, name)))
          .map(([name]) => name);
        if (ran.length === 0 || notPassed.length > 0) {
          expect.fail(
            `did not pass: ${notPassed.join(', ') || test}\n${excerptOf(run.output, notPassed.at(-1) ?? test)}`,
          );
        }
      });
    });
  }

  it('names every test exactly once', async () => {
    expect(cases.tests.toSorted()).toEqual((await listCommonTests()).toSorted());
  });
});
