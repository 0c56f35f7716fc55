import { CommittedHistory } from '../../../src/sim/checkers/committed-history.ts';
import { eventually } from '../../harness/wait.ts';
import type { TestCluster } from '../test-cluster.ts';
import { HistoryWatcher } from './watcher.ts';

/** Returns the committed history according to the members. @throws if they differ */
export async function committedBy(cluster: TestCluster): Promise<CommittedHistory> {
  const committed = new CommittedHistory();
  const revision = (await cluster.statuses())[0]?.Status.header.revision ?? 0;
  for (const { name, endpoint } of cluster.members) {
    const watcher = new HistoryWatcher({ endpoints: [endpoint], prefix: '' });
    await eventually(`all changes of ${name}`, () => watcher.progress >= revision, { timeoutMs: 60_000 });
    await watcher.stop();
    const changes = watcher.seen.map((event) => ({ ...event, sub: 0 }));
    const fault = watcher.fault ?? committed.recordChanges(name, changes);
    if (fault !== undefined) throw new Error(fault);
  }
  return committed;
}
