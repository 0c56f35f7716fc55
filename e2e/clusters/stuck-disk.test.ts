import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Member, serverUnderTest } from '../harness/member.ts';
import { metricOf } from '../harness/metrics.ts';
import { repositoryRoot } from '../harness/paths.ts';
import { removeTempDir, tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';
import { TestCluster } from './test-cluster.ts';

/** While a given file exists, writes of the log hang. */
const preload = join(repositoryRoot, 'e2e/clusters/stuck-log-preload.mjs');

function handovers(member: Member): Promise<number> {
  return metricOf(member, 'keystead_stuck_log_handovers_total');
}

describe.skipIf(serverUnderTest === 'etcd')('a leader whose disk is stuck', () => {
  const folder = tempDir('stuck');
  const switchOf = (name: string): string => join(folder, name);
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.create(['keystead', 'keystead', 'keystead'], [], (name) => ({
      NODE_OPTIONS: `--import=${preload}`,
      STUCK_LOG_WHILE: switchOf(name),
    }));
  });
  afterAll(async () => {
    await cluster.destroy();
    removeTempDir(folder);
  });

  it('transfers its leadership, and catches up when the disk works again', async () => {
    const leader = await cluster.leader();
    const others = cluster.members.filter((member) => member !== leader);
    await cluster.ctl(leader).ok(['put', 'key', 'before']);
    writeFileSync(switchOf(leader.name), '');
    const stuckAt = performance.now();
    const answers = cluster.ctl(leader).run(['put', 'key', 'meanwhile']);
    await eventually('the leader hands over', async () => (await handovers(leader)) === 1);
    await eventually('another member takes puts', async () => {
      const { code } = await cluster.ctl(...others).run(['put', 'other', 'after']);
      return code === 0;
    });
    console.log(`from the disk being stuck to the next put: ${Math.round(performance.now() - stuckAt)} ms`);
    expect(others).toContain(await cluster.leader());
    // Entries that the old leader had sent to the others were committed, whatever its client gets as response.
    expect(await cluster.ctl(...others).ok(['get', 'key', '--print-value-only'])).toBe('meanwhile\n');
    rmSync(switchOf(leader.name));
    await answers;
    await cluster.settled();
    expect(await handovers(leader)).toBe(1);
  });
});
