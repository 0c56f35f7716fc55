import { hex } from '../lib/text.ts';
import { type ClusterMember } from '../membership/member.ts';
import { formatVersion, type Version } from '../membership/version.ts';

export interface MembershipInfo {
  readonly members: readonly ClusterMember[];
  readonly removedIds: readonly bigint[];
  readonly version: Version | undefined;
}

interface Node {
  readonly Path: string;
  readonly CreatedIndex: number;
  readonly ModifiedIndex: number;
  readonly ExpireTime: string;
  readonly Value: string;
  readonly Children: Readonly<Record<string, Node>> | null;
}

/**
 * The `data` of a raft snapshot between members: the membership as a saved store of etcd's version 2, whose nodes lie
 * at `/0/members/<id>/raftAttributes`, `/0/members/<id>/attributes`, `/0/removed_members/<id>` and `/0/version`. etcd
 * 3.7 keeps but does not read it; 3.6 reads it when it starts from the snapshot.
 */
export function membershipData({ members, removedIds, version }: MembershipInfo): Buffer {
  const memberNodes = members.map((member): [string, Node] => {
    const id = hex(member.id);
    const path = `/0/members/${id}`;
    const raftAttributes = {
      peerURLs: member.peerUrls,
      ...(member.isLearner ? { isLearner: true } : {}),
    };
    const attributes = {
      ...(member.name === '' ? {} : { name: member.name }),
      ...(member.clientUrls.length === 0 ? {} : { clientURLs: member.clientUrls }),
    };
    return [
      id,
      folder(path, [
        ['attributes', file(`${path}/attributes`, JSON.stringify(attributes))],
        ['raftAttributes', file(`${path}/raftAttributes`, JSON.stringify(raftAttributes))],
      ]),
    ];
  });
  const removed = removedIds.map((id): [string, Node] => {
    return [hex(id), file(`/0/removed_members/${hex(id)}`, '')];
  });
  const cluster: [string, Node][] = [['members', folder('/0/members', memberNodes)]];
  if (removed.length > 0) cluster.push(['removed_members', folder('/0/removed_members', removed)]);
  if (version !== undefined) cluster.push(['version', file('/0/version', formatVersion(version))]);
  const root = folder('/', [
    ['0', folder('/0', cluster)],
    ['1', folder('/1', [])],
  ]);
  return Buffer.from(JSON.stringify({ Root: root, CurrentIndex: 1, CurrentVersion: 2 }));
}

function folder(path: string, children: readonly (readonly [string, Node])[]): Node {
  return { ...file(path, ''), Children: Object.fromEntries(children) };
}

function file(path: string, value: string): Node {
  return {
    Path: path,
    CreatedIndex: 1,
    ModifiedIndex: 1,
    ExpireTime: '0001-01-01T00:00:00Z',
    Value: value,
    Children: null,
  };
}
