import type { Member } from '../harness/member.ts';
import { metricsOf } from '../harness/metrics.ts';

/** Number of snapshots that a member has received since its start. */
export async function snapshotsReceived(member: Member): Promise<number> {
  const text = await metricsOf(member);
  const counts = text.matchAll(/^etcd_network_snapshot_receive_success\{.*\} (\d+)$/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}
