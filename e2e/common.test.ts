import { beforeAll, describe, expect, it } from 'vitest';
import cases from './common-cases.json' with { type: 'json' };
import { excerptOf, listCommonTests, runCommonTests, type CommonRun } from './harness/common-tests.ts';
import { missingPeers } from './harness/paths.ts';

const missing = missingPeers('common.test', 'etcdctl', 'etcdutl');
const suiteTimeoutMs = 240_000;

/** Some tests skip single scenarios themselves; the test as a whole still has to run. */
function maySkip(test: string, name: string): boolean {
  return name.split('/').length > 2 && cases.skipThemselves.some((group) => group.tests.includes(test));
}

describe.skipIf(missing !== undefined)(`etcd's own tests/common ${missing ?? ''}`, () => {
  for (const suite of cases.suites) {
    describe(suite.title, () => {
      let run: CommonRun;
      beforeAll(async () => {
        run = await runCommonTests(`^(${suite.tests.join('|')})$${suite.subtests}`, suiteTimeoutMs);
      }, suiteTimeoutMs + 20_000);

      it.each(suite.tests)('%s', (test) => {
        const ran = [...run.outcomes].filter(([name]) => name === test || name.startsWith(`${test}/`));
        const notPassed = ran
          .filter(([name, outcome]) => outcome === 'fail' || (outcome === 'skip' && !maySkip(test, name)))
          .map(([name]) => name);
        if (ran.length === 0 || notPassed.length > 0) {
          expect.fail(
            `did not pass: ${notPassed.join(', ') || test}\n${excerptOf(run.output, notPassed.at(-1) ?? test)}`,
          );
        }
      });
    });
  }

  it('names every test exactly once, to run it or to say why not', async () => {
    const named = [...cases.suites, ...cases.leftOut].flatMap((group) => group.tests);
    expect(named.toSorted()).toEqual((await listCommonTests()).toSorted());
  });
});
