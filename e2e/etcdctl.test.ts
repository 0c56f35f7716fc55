import { beforeAll, describe, expect, it } from 'vitest';
import { chapters } from './etcdctl-session.ts';
import { Member, serverUnderTest, type MemberKind } from './harness/member.ts';
import { missingPeers } from './harness/paths.ts';
import { freePort } from './harness/ports.ts';
import { withClient } from './harness/rpc-client.ts';
import { Session } from './harness/session.ts';
import { storageVersionKnown } from './harness/status.ts';

const missing = missingPeers('etcd', 'etcdctl', 'etcdutl');

/**
 * Runs the same session with etcd and then with the server under test. Both have the same name and addresses, so that
 * even member and cluster ids must be equal.
 */
describe.skipIf(missing !== undefined)(`etcdctl prints the same as with etcd ${missing ?? ''}`, () => {
  let expected: string[][];
  let actual: string[][];

  beforeAll(async () => {
    const ports = { clientPort: await freePort(), peerPort: await freePort() };
    expected = await transcripts('etcd', ports);
    actual = await transcripts(serverUnderTest, ports);
  });

  for (const [chapterIndex, { title, steps }] of chapters.entries()) {
    describe(title, () => {
      for (const [stepIndex, step] of steps.entries()) {
        it(step.title, () => {
          expect(actual[chapterIndex]?.[stepIndex]).toBe(expected[chapterIndex]?.[stepIndex]);
        });
      }
    });
  }
});

async function transcripts(
  kind: MemberKind,
  ports: { clientPort: number; peerPort: number },
): Promise<string[][]> {
  const member = await Member.start({ kind, name: 'session', ...ports });
  try {
    await withClient(member.endpoint, storageVersionKnown);
    const session = new Session(member);
    const all: string[][] = [];
    for (const { steps } of chapters) {
      const chapter: string[] = [];
      for (const step of steps) {
        chapter.push(
          await step.run(session).catch((error: unknown) => `could not be done: ${String(error)}`),
        );
      }
      all.push(chapter);
    }
    return all;
  } finally {
    await member.destroy();
  }
}
