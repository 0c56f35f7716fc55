import { benchmark, etcdctl } from './client.ts';
import type { Scenario } from './scenarios.ts';
import { BenchCluster, type System } from './servers.ts';

async function withCluster<T>(system: System, work: (cluster: BenchCluster) => Promise<T>): Promise<T> {
  const cluster = new BenchCluster(system, 3);
  try {
    await cluster.start();
    return await work(cluster);
  } finally {
    await cluster.remove();
  }
}

function putAtLeader(clients: number, connections: number): Scenario {
  return {
    name: `three members, put 256 B at the leader, ${clients} clients`,
    figures: [
      { name: 'rate', unit: '/s', better: 'higher', target: 2 },
      { name: 'p99', unit: 'ms', better: 'lower', target: 0.6 },
    ],
    run: (system, scale) =>
      withCluster(system, async (cluster) => {
        const leader = await cluster.leader();
        const puts = async (total: number) =>
          await benchmark(leader, [
            ...['--clients', String(clients), '--conns', String(connections), 'put'],
            ...['--total', String(Math.round(total)), '--key-space-size', '100000', '--val-size', '256'],
          ]);
        await puts(60_000 * scale);
        const [measured] = await puts(80_000 * scale);
        if (measured === undefined) throw new Error('no result');
        return { rate: measured.rate, p99: measured.p99 };
      }),
  };
}

const failover: Scenario = {
  name: 'three members, leader killed with -9',
  figures: [{ name: 'until a put succeeds', unit: 'ms', better: 'lower', target: 0.3 }],
  run: (system) =>
    withCluster(system, async (cluster) => {
      const leader = await cluster.leader();
      const others = cluster.endpoints.filter((endpoint) => endpoint !== leader);
      await etcdctl(others.join(','), ['put', 'bench/key', 'before']);
      await cluster.kill(leader);
      const began = performance.now();
      for (;;) {
        try {
          // A request that was lost with the leader has a short timeout. The figure is the time until a write succeeds.
          await etcdctl(others.join(','), ['put', 'bench/key', 'after', '--command-timeout', '200ms']);
          return { 'until a put succeeds': performance.now() - began };
        } catch {
          if (performance.now() - began > 60_000) throw new Error('no put succeeds for a minute');
        }
      }
    }),
};

export const clusterScenarios: Readonly<Record<string, Scenario>> = {
  cluster100: putAtLeader(100, 10),
  cluster500: putAtLeader(500, 50),
  failover,
};
