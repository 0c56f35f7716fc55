import { beforeAll, describe, expect, it } from 'vitest';
import { serverUnderTest } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import { scenarios } from './etcdctl-tls-session.ts';
import { transcript } from './etcdctl-tls-stage.ts';

const missing = missingPeers('etcd', 'etcdctl');

/**
 * Sessions of the original etcdctl over mutual TLS with passwords, JSON web tokens and certificate names, first with etcd
 * and then with the server under test.
 */
describe.skipIf(missing !== undefined)(
  `etcdctl over TLS prints the same as with etcd ${missing ?? ''}`,
  () => {
    for (const scenario of scenarios) {
      describe(scenario.title, () => {
        let expected: readonly string[];
        let actual: readonly string[];

        beforeAll(async () => {
          const ports = {
            clientPort: await freePort(),
            peerPort: await freePort(),
            securePort: await freePort(),
          };
          expected = await transcript('etcd', scenario, ports);
          actual = await transcript(serverUnderTest, scenario, ports);
        });

        for (const [index, step] of scenario.steps.entries()) {
          it(step.title, () => {
            expect(expected[index]).toMatch(step.expected);
            expect(actual[index]).toBe(expected[index]);
          });
        }
      });
    }
  },
);
