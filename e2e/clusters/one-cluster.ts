import { expect } from 'vitest';
import { Etcdctl } from '../harness/etcdctl.ts';
import type { Member } from '../harness/member.ts';

/** Expects that all members list each other. */
export async function isOneCluster(members: readonly Member[]): Promise<void> {
  const first = members[0];
  if (first === undefined) throw new Error('a cluster has members');
  await new Etcdctl(first.endpoint).ok(['put', 'k', 'from all']);
  for (const { endpoint } of members) {
    expect(await new Etcdctl(endpoint).ok(['get', 'k', '--print-value-only'])).toBe('from all\n');
    const listed = (await new Etcdctl(endpoint).ok(['member', 'list'])).trim().split('\n');
    expect(listed).toHaveLength(members.length);
    for (const line of listed) expect(line).toContain('started');
  }
}
