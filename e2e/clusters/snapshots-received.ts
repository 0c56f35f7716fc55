import type { Member } from '../harness/member.ts';

/** Number of snapshots that a member has received since its start. */
export async function snapshotsReceived(member: Member): Promise<number> {
  const response = await fetch(`${member.clientUrl}/metrics`);
  const counts = (await response.text()).matchAll(/^etcd_network_snapshot_receive_success\{.*\} (\d+)$/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}
