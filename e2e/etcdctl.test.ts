import { beforeAll, describe, expect, it } from 'vitest';
import type { StatusResponse } from '../src/wire/gen/etcdserverpb.ts';
import { Maintenance } from '../src/wire/services.ts';
import { chapters } from './etcdctl-session.ts';
import { Member, serverUnderTest, type MemberKind } from './harness/member.ts';
import { missingPeers } from './harness/paths.ts';
import { freePort } from './harness/ports.ts';
import { RpcClient } from './harness/rpc-client.ts';
import { Session } from './harness/session.ts';
import { eventually } from './harness/wait.ts';

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
  }, 300_000);

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
    await storageVersionKnown(member);
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

/** etcd reports storage version 3.5.0 until it has looked at the version of the cluster, seconds after its start. */
async function storageVersionKnown(member: Member): Promise<void> {
  const client = new RpcClient(member.endpoint);
  try {
    await eventually('the storage version', async () => {
      const answer = await client.unary(Maintenance.methods.status, {});
      return 'messages' in answer && (answer.messages[0] as StatusResponse).storageVersion === '3.7.0';
    });
  } finally {
    client.close();
  }
}
