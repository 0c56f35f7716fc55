import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  AlarmRequestAlarmAction as AlarmAction,
  AlarmType,
  DowngradeRequestDowngradeAction as DowngradeAction,
  MemberAddResponse,
  StatusResponse,
} from '../src/wire/gen/etcdserverpb.ts';
import { Cluster, Maintenance } from '../src/wire/services.ts';
import { plain } from './differential/plain.ts';
import { Member } from './harness/member.ts';
import { missingPeers, repositoryRoot } from './harness/paths.ts';
import { type Answer, RpcClient } from './harness/rpc-client.ts';
import { messageOf, storageVersionKnown } from './harness/status.ts';
import { eventually } from './harness/wait.ts';

const missing = missingPeers('etcd');
const { status, alarm, moveLeader, downgrade, hashKv, defragment } = Maintenance.methods;
const { memberAdd, memberList, memberPromote, memberRemove, memberUpdate } = Cluster.methods;

/** A client of a member of its own, and the member's id. */
interface Asked {
  readonly client: RpcClient;
  readonly self: bigint;
}
type Session = (asked: Asked) => Promise<Answer[]>;

async function inTurn(asks: readonly (() => Promise<Answer>)[]): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const ask of asks) answers.push(await ask());
  return answers;
}

const NOBODY = 77n;

const oddUrls = JSON.parse(
  readFileSync(join(repositoryRoot, 'src/config/testdata/go-urls.json'), 'utf8'),
) as readonly { readonly url: string; readonly text?: string }[];

const sessions: Readonly<Record<string, Session>> = {
  alarms: ({ client, self }) => {
    const ask = (action: AlarmAction, memberId: bigint, type: AlarmType) => () =>
      client.unary(alarm, { action, memberId, alarm: type });
    const { ACTIVATE, DEACTIVATE, GET } = AlarmAction;
    const { NONE, NOSPACE, CORRUPT } = AlarmType;
    return inTurn([
      ask(ACTIVATE, self, NOSPACE),
      ask(ACTIVATE, self, NOSPACE),
      ask(ACTIVATE, self, NONE),
      ask(GET, 0n, NONE),
      () => client.unary(status, {}),
      ask(DEACTIVATE, NOBODY, NOSPACE),
      ask(DEACTIVATE, self, NONE),
      ask(DEACTIVATE, self, NOSPACE),
      ask(ACTIVATE, 0n, CORRUPT),
      () => client.unary(status, {}),
      ask(GET, 0n, NOSPACE),
      ask(DEACTIVATE, 0n, CORRUPT),
      ask(DEACTIVATE, 0n, CORRUPT),
      () => client.unary(status, {}),
    ]);
  },

  'moving the leader': ({ client, self }) =>
    inTurn([self, 0n, NOBODY].map((targetId) => () => client.unary(moveLeader, { targetId }))),

  hashes: ({ client }) =>
    inTurn([
      ...[0, 1, -1, 100].map((revision) => () => client.unary(hashKv, { revision })),
      () => client.unary(defragment, {}),
    ]),

  'downgrades on trial': ({ client }) => {
    const versions = ['3.6', '3.6.0', '3.6.4', '3.6.0-rc', 'v3.6', '3.5', '3.7.0', '3.8', '4.0', 'x', ''];
    // Go parses the numbers as int64, also with leading zeros.
    versions.push('3.06', '3.9223372036854775807', '3.9223372036854775808', '18446744073709551619.6.0');
    versions.push('3.6.9223372036854775807', '3.6.9223372036854775808');
    const { VALIDATE, CANCEL } = DowngradeAction;
    return inTurn([
      ...versions.map((version) => () => client.unary(downgrade, { action: VALIDATE, version })),
      () => client.unary(downgrade, { action: CANCEL, version: '' }),
      () => client.unary(downgrade, { action: 5 as DowngradeAction, version: '' }),
    ]);
  },

  'a downgrade begun and given up': async ({ client }) => {
    const ask = (action: DowngradeAction, version: string) => () =>
      client.unary(downgrade, { action, version });
    const { VALIDATE, ENABLE, CANCEL } = DowngradeAction;
    const asks = [ask(ENABLE, '3.6'), ask(VALIDATE, '3.5'), () => client.unary(status, {})];
    const until = (version: string): Promise<Answer> =>
      eventually(`version ${version}`, async () => {
        const answer = await client.unary(status, {});
        return (messageOf(answer) as StatusResponse).storageVersion === version && answer;
      });
    const before = await inTurn(asks);
    const lower = await until('3.6.0');
    const enabled = await inTurn([ask(ENABLE, '3.6'), ask(VALIDATE, '3.5'), ask(CANCEL, '')]);
    return [...before, lower, ...enabled, await until('3.7.0')];
  },

  'members that cannot be': ({ client, self }) => {
    const peerUrls = ['http://127.0.0.1:4444'];
    const wrong = [
      [],
      [''],
      ['foo'],
      ...['http://1.2.3.4', 'http://1.2.3.4:1/x', 'ftp://1.2.3.4:1', 'http://a:b'].map((url) => [url]),
    ];
    return inTurn([
      ...wrong.map((urls) => () => client.unary(memberAdd, { peerUrls: urls, isLearner: false })),
      () => client.unary(memberRemove, { id: NOBODY }),
      () => client.unary(memberPromote, { id: NOBODY }),
      () => client.unary(memberPromote, { id: self }),
      () => client.unary(memberUpdate, { id: NOBODY, peerUrls }),
      () => client.unary(memberRemove, { id: self }),
    ]);
  },

  'members at peer URLs that Go refuses': ({ client }) =>
    inTurn(
      oddUrls
        .filter(({ text }) => text === undefined)
        .map(
          ({ url }) =>
            () =>
              client.unary(memberAdd, { peerUrls: [url], isLearner: true }),
        ),
    ),

  'a learner whose URLs change': async ({ client }) => {
    const added = await client.unary(memberAdd, { peerUrls: ['http://127.0.0.1:4570'], isLearner: true });
    const id = (messageOf(added) as MemberAddResponse).member?.id ?? 0n;
    const update =
      (...peerUrls: string[]) =>
      () =>
        client.unary(memberUpdate, { id, peerUrls });
    return inTurn([
      update('http://127.0.0.1:4572', 'HTTP://127.0.0.1:4571'),
      update('http://127.0.0.1:4571?', 'http://127.0.0.1:4570', 'http://127.0.0.1:4570'),
      () => client.unary(memberList, { linearizable: true }),
      () => client.unary(memberRemove, { id }),
    ]);
  },

  'a learner that comes and goes': async ({ client }) => {
    const add = (...peerUrls: string[]): Promise<Answer> =>
      client.unary(memberAdd, { peerUrls, isLearner: true });
    // An address that nothing can be connected to. No other step adds it: members of one second and one URL have the
    // same id, which cannot come back.
    const odd = await add('http://:2');
    const oddId = (messageOf(odd) as MemberAddResponse).member?.id ?? 0n;
    const gone = await client.unary(memberRemove, { id: oddId });
    const added = await add('http://127.0.0.1:4567', 'http://127.0.0.1:4566');
    const id = (messageOf(added) as MemberAddResponse).member?.id ?? 0n;
    const peerUrls = ['http://127.0.0.1:4569'];
    return [
      ...[odd, gone, added, await add('http://127.0.0.1:4568'), await add('http://127.0.0.1:4567')],
      ...(await inTurn([
        () => client.unary(memberPromote, { id }),
        () => client.unary(memberUpdate, { id, peerUrls }),
        () => client.unary(memberUpdate, { id, peerUrls }),
        () => client.unary(moveLeader, { targetId: id }),
        () => client.unary(memberList, { linearizable: true }),
        () => client.unary(memberRemove, { id }),
        () => client.unary(memberRemove, { id }),
        () => client.unary(memberUpdate, { id, peerUrls }),
        () => client.unary(memberPromote, { id }),
        () => client.unary(memberList, { linearizable: false }),
      ])),
    ];
  },
};

/** Differs between two members, and between two runs. */
const OWN = new Set(['clusterId', 'raftIndex', 'raftAppliedIndex', 'dbSize', 'dbSizeInUse']);

/** The order depends on random ids. */
function membersByName(members: readonly unknown[]): unknown[] {
  const nameOf = (each: unknown): string => (each as { name: string }).name;
  return members.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}

function comparable(answers: readonly Answer[], { self, ports }: { self: bigint; ports: string[] }): unknown {
  const text = JSON.stringify(plain(answers), (name, value: unknown) => {
    if (OWN.has(name)) return 'its own';
    return name === 'members' && Array.isArray(value) ? membersByName(value) : value;
  });
  const named = ports.reduce((each, port, at) => each.replaceAll(port, `port ${at}`), text);
  return JSON.parse(named.replaceAll(String(self), 'self').replaceAll(/\d{16,20}n/g, 'some id')) as unknown;
}

describe.skipIf(missing !== undefined)(`Maintenance and Cluster behave as in etcd ${missing ?? ''}`, () => {
  const members: Member[] = [];
  const asked: Asked[] = [];

  beforeAll(async () => {
    for (const kind of ['etcd', 'keystead'] as const) {
      const member = await Member.start({ kind });
      const client = new RpcClient(member.endpoint);
      members.push(member);
      const { leader } = await storageVersionKnown(client);
      asked.push({ client, self: leader });
    }
  });

  afterAll(async () => {
    for (const { client } of asked) client.close();
    for (const member of members) await member.destroy();
  });

  for (const [title, session] of Object.entries(sessions)) {
    it(title, async () => {
      const [etcd, keystead] = await Promise.all(
        asked.map(async (each, at) => {
          const { clientPort = 0, peerPort = 0 } = members[at] ?? {};
          return comparable(await session(each), {
            self: each.self,
            ports: [`:${clientPort}`, `:${peerPort}`],
          });
        }),
      );
      expect(keystead).toEqual(etcd);
    });
  }

  // Not on etcd: it ends if it connects to some of these URLs before their member is removed.
  it('odd peer URLs get the normal form of Go', async () => {
    const client = asked[1]?.client;
    if (client === undefined) throw new Error('the server under test is the second member');
    const seen = new Set<string>();
    for (const { url, text } of oddUrls) {
      // Members of one second and one URL have the same id, which cannot come back.
      if (text === undefined || seen.has(text)) continue;
      seen.add(text);
      const answer = await client.unary(memberAdd, { peerUrls: [url], isLearner: true });
      const { member } = messageOf(answer) as MemberAddResponse;
      expect(member?.peerUrls).toEqual([text]);
      await client.unary(memberRemove, { id: member?.id ?? 0n });
    }
  });
});
