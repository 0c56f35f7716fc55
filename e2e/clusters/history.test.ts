import { afterEach, describe, expect, it } from 'vitest';
import { checkHistory } from '../../src/sim/checkers/client-history.ts';
import { checkWatch } from '../../src/sim/checkers/watch-order.ts';
import { type MemberKind, serverUnderTest } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { eventually } from '../harness/wait.ts';
import { HistoryClients } from './history/clients.ts';
import { committedBy } from './history/committed-by.ts';
import { trouble } from './history/troubles.ts';
import { HistoryWatcher } from './history/watcher.ts';
import { TestCluster } from './test-cluster.ts';

const missing = missingPeers('etcd', 'etcdctl');

/** In each round the leader is killed once, and all members are. */
const rounds = Number(process.env['KEYSTEAD_HISTORY_ROUNDS'] ?? '1');
const CLIENTS = 8;

const clusters: readonly (readonly [string, readonly MemberKind[]])[] = [
  [`three of ${serverUnderTest}`, [serverUnderTest, serverUnderTest, serverUnderTest]],
  ['two Keystead and one etcd', ['keystead', 'keystead', 'etcd']],
];

describe.skipIf(missing !== undefined)(`the history of clients and watchers ${missing ?? ''}`, () => {
  let cluster: TestCluster | undefined;
  afterEach(async () => {
    await cluster?.destroy();
  });

  it.each(clusters)(
    'is one order of requests while members are killed and stopped: %s',
    async (title, kinds) => {
      cluster = await TestCluster.create(kinds);
      const { members } = cluster;
      const endpoints = members.map(({ endpoint }) => endpoint);
      const clients = new HistoryClients(endpoints, CLIENTS, kinds.length);
      const watchers = [
        ...endpoints.map((endpoint) => new HistoryWatcher({ endpoints: [endpoint], prefix: '' })),
        ...endpoints.map((endpoint, at) => new HistoryWatcher({ endpoints: [endpoint], prefix: `k${at}` })),
        new HistoryWatcher({ endpoints, prefix: 'k' }),
        new HistoryWatcher({ endpoints, prefix: 'k5' }),
      ];
      await trouble(cluster, rounds);
      await clients.stop();
      const stores = await cluster.settled();
      const revision = (await cluster.statuses())[0]?.Status.header.revision ?? 0;
      for (const watcher of watchers)
        await eventually(
          `a watcher of "${watcher.prefix}" is told that it has everything up to ${revision}`,
          () => watcher.progress >= revision,
          { timeoutMs: 60_000 },
        );
      await Promise.all(watchers.map((watcher) => watcher.stop()));
      const committed = await committedBy(cluster);
      const { history, answered } = clients;
      expect(checkHistory(history, committed)).toBeUndefined();
      for (const watcher of watchers) {
        expect(watcher.fault).toBeUndefined();
        expect(checkWatch(watcher, committed)).toBeUndefined();
      }
      expect(answered).toBeGreaterThan(500 * rounds);
      const unknown = history.filter(({ response, refused }) => response === undefined && !refused).length;
      console.log(
        `${title}: ${history.length} requests, ${answered} answered, ${unknown} of unknown outcome; ` +
          `${committed.lastRevision} revisions; ${stores[0]}`,
      );
    },
    60_000 + rounds * 120_000,
  );
});
