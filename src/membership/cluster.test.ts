import { describe, expect, it } from 'vitest';
import { hex } from '../lib/text.ts';
import { MemoryEngine } from '../storage/memory-engine.ts';
import { errors } from '../wire/errors.ts';
import { ConfChange, ConfChangeType } from '../wire/gen/raftpb.ts';
import { bootstrapCluster, Cluster } from './cluster.ts';
import { applyConfChange, validateConfChange } from './conf-change.ts';
import { type ClusterMember, memberId } from './member.ts';
import { decodeMemberContext, encodeMember, encodeMemberContext } from './member-json.ts';
import { decideClusterVersion, parseVersion } from './version.ts';

function member(id: bigint, over: Partial<ClusterMember> = {}): ClusterMember {
  return {
    id,
    name: `m${id}`,
    peerUrls: [`http://127.0.0.1:${id}`],
    clientUrls: [],
    isLearner: false,
    ...over,
  };
}

function openCluster(engine = new MemoryEngine()): Cluster {
  return new Cluster({ engine, localId: 1n, id: 99n });
}

function save(engine: MemoryEngine, cluster: Cluster): void {
  const batch = engine.batch();
  cluster.stage(batch);
  engine.write(batch);
}

describe('identities', () => {
  it('are those of etcd for a default single member', () => {
    const cluster = bootstrapCluster(new Map([['default', ['http://localhost:2380']]]), 'etcd-cluster');
    expect(cluster?.members.map(({ id }) => hex(id))).toEqual(['8e9e05c52164694d']);
    expect(cluster === undefined ? '' : hex(cluster.id)).toBe('cdf818194e3a8c32');
  });

  it('depend on the second a member is added, and on sorted URLs', () => {
    const urls = ['http://b:1', 'http://a:1'];
    const a = memberId({ peerUrls: urls, token: 't', wallSeconds: 1 });
    expect(memberId({ peerUrls: [...urls].reverse(), token: 't', wallSeconds: 1 })).toBe(a);
    expect(memberId({ peerUrls: urls, token: 't', wallSeconds: 2 })).not.toBe(a);
  });

  it('of two names with the same URLs are equal', () => {
    expect(
      bootstrapCluster(
        new Map([
          ['a', ['http://x:1']],
          ['b', ['http://x:1']],
        ]),
        't',
      ),
    ).toBeUndefined();
  });
});

describe('member JSON', () => {
  it('keeps 64-bit IDs and Go’s escapes', () => {
    const one = member(0xfedc_ba98_7654_3210n, {
      name: 'a<b>&"18364758544493064720"',
      clientUrls: ['http://c:1'],
      isLearner: true,
    });
    const json = encodeMember(one).toString();
    expect(json).toBe(
      '{"id":18364758544493064720,"peerURLs":["http://127.0.0.1:18364758544493064720"],"isLearner":true,' +
        '"name":"a\\u003cb\\u003e\\u0026\\"18364758544493064720\\"","clientURLs":["http://c:1"]}',
    );
    expect(decodeMemberContext(Buffer.from(json))).toEqual({ member: one, isPromote: false });
  });

  it('reads a context without URLs', () => {
    const context = decodeMemberContext(Buffer.from('{"id":5,"peerURLs":null,"isPromote":true}'));
    expect(context).toMatchObject({ isPromote: true, member: { id: 5n, peerUrls: [], name: '' } });
  });
});

describe('cluster', () => {
  it('is restored from its rows', () => {
    const engine = new MemoryEngine();
    const cluster = openCluster(engine);
    cluster.add(member(1n));
    cluster.add(member(2n));
    cluster.add(member(0xffff_ffff_ffff_fff0n, { isLearner: true, name: '' }));
    cluster.remove(2n);
    cluster.setVersion({ major: 3, minor: 7, patch: 0 });
    cluster.setDowngrade({ enabled: true, targetVersion: '3.6.0' });
    save(engine, cluster);
    const again = openCluster(engine);
    expect(again.members()).toEqual(cluster.members());
    expect(again.isRemoved(2n)).toBe(true);
    expect(again.version).toEqual({ major: 3, minor: 7, patch: 0 });
    expect(again.downgrade).toEqual({ enabled: true, targetVersion: '3.6.0' });
    expect(engine.get('meta', Buffer.from('cluster/clusterVersion'))?.toString()).toBe('3.7.0');
  });

  it('checks that a change keeps a quorum of started members', () => {
    const cluster = openCluster();
    cluster.add(member(1n));
    expect(cluster.isReadyToAddVoter()).toBe(true);
    expect(cluster.isReadyToRemoveVoter(1n)).toBe(false);
    cluster.add(member(2n, { name: '' }));
    expect(cluster.isReadyToAddVoter()).toBe(false);
    expect(cluster.isReadyToRemoveVoter(2n)).toBe(true);
    cluster.add(member(3n, { name: '', isLearner: true }));
    expect(cluster.isReadyToPromote()).toBe(true);
  });

  it('fails on attributes of an unknown member and ignores those of a removed member', () => {
    const cluster = openCluster();
    cluster.add(member(1n));
    cluster.remove(1n);
    cluster.updateAttributes(1n, { name: 'late', clientUrls: [] });
    expect(() => cluster.updateAttributes(2n, { name: 'x', clientUrls: [] })).toThrow(
      'attributes are set for a',
    );
  });
});

describe('configuration changes', () => {
  const { ConfChangeAddNode, ConfChangeAddLearnerNode, ConfChangeRemoveNode, ConfChangeUpdateNode } =
    ConfChangeType;

  function change(
    type: ConfChangeType,
    id: bigint,
    over: Partial<ClusterMember> = {},
    isPromote = false,
  ): ConfChange {
    return ConfChange.create({
      type,
      nodeId: id,
      context: encodeMemberContext({ member: member(id, over), isPromote }),
    });
  }

  function grown(): Cluster {
    const cluster = openCluster();
    cluster.add(member(1n));
    cluster.add(member(2n, { isLearner: true }));
    cluster.add(member(3n));
    cluster.remove(3n);
    return cluster;
  }

  it.each([
    ['removed id', change(ConfChangeAddNode, 3n), errors.MemberNotFound],
    ['adding a member twice', change(ConfChangeAddNode, 1n), errors.MemberExist],
    [
      'adding URLs in use',
      change(ConfChangeAddNode, 4n, { peerUrls: ['http://127.0.0.1:1'] }),
      errors.PeerURLExist,
    ],
    ['second learner', change(ConfChangeAddLearnerNode, 4n, { isLearner: true }), errors.TooManyLearners],
    ['promoting an unknown member', change(ConfChangeAddNode, 4n, {}, true), errors.MemberNotFound],
    ['promoting a voter', change(ConfChangeAddNode, 1n, {}, true), errors.MemberNotLearner],
    ['removing an unknown member', change(ConfChangeRemoveNode, 4n), errors.MemberNotFound],
    ['updating an unknown member', change(ConfChangeUpdateNode, 4n), errors.MemberNotFound],
    [
      'updating to URLs in use',
      change(ConfChangeUpdateNode, 2n, { peerUrls: ['http://127.0.0.1:1'] }),
      errors.PeerURLExist,
    ],
    ['updating to its own URLs', change(ConfChangeUpdateNode, 2n), undefined],
    ['adding a voter', change(ConfChangeAddNode, 4n), undefined],
    ['promoting a learner', change(ConfChangeAddNode, 2n, {}, true), undefined],
  ])('%s', (_, asked, error) => {
    expect(validateConfChange(grown(), asked, 1)).toBe(error);
  });

  it('change the members', () => {
    const cluster = grown();
    expect(applyConfChange(cluster, change(ConfChangeAddNode, 2n, {}, true))).toEqual({
      kind: 'promoted',
      id: 2n,
    });
    expect(cluster.member(2n)?.isLearner).toBe(false);
    expect(applyConfChange(cluster, change(ConfChangeAddNode, 4n))).toMatchObject({ kind: 'added', id: 4n });
    expect(
      applyConfChange(cluster, change(ConfChangeUpdateNode, 4n, { peerUrls: ['http://n:1'] })),
    ).toMatchObject({ kind: 'updated' });
    expect(cluster.member(4n)?.peerUrls).toEqual(['http://n:1']);
    const removal = ConfChange.create({ type: ConfChangeRemoveNode, nodeId: 1n });
    expect(applyConfChange(cluster, removal)).toEqual({ kind: 'removed', id: 1n });
    expect(cluster.members().map(({ id }) => id)).toEqual([2n, 4n]);
  });
});

it.each([
  [undefined, undefined, '', '3.0.0'],
  [undefined, '3.7.1', '', '3.7.0'],
  ['3.0.0', '3.7.1', '', '3.7.0'],
  ['3.7.0', '3.7.1', '', undefined],
  ['3.7.0', undefined, '', undefined],
  ['3.7.0', '3.7.1', '3.6.0', '3.6.0'],
  ['3.6.0', '3.7.1', '3.6.0', undefined],
  ['3.7.0', '3.7.1', '3.5.0', 'invalid'],
])('cluster %s, servers from %s, downgrade "%s": %s', (cluster, lowest, target, expected) => {
  const decision = decideClusterVersion({
    cluster: cluster === undefined ? undefined : parseVersion(cluster),
    lowestServer: lowest === undefined ? undefined : parseVersion(lowest),
    downgrade: { enabled: target !== '', targetVersion: target },
  });
  expect(decision).toEqual(
    expected === undefined || expected === 'invalid' ? expected : parseVersion(expected),
  );
});
