/**
 * `npm run floods`: measures the latency of puts of a normal client while other clients flood the server, for Keystead
 * and real etcd, and before it. Options: `--only resets,pings`, `--seconds 5` (per flood), `--servers keystead,etcd`.
 * `KEYSTEAD_E2E_SERVING_THREADS`, `KEYSTEAD_E2E_RAFT_THREAD` and `KEYSTEAD_E2E_NODE` as in the end-to-end tests.
 */
import { parseArgs } from 'node:util';
import { floodKinds, measureFlood, type FloodKind } from '../e2e/security/floods/measure.ts';
import type { MemberKind } from '../e2e/harness/member.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: floodKinds.join(',') },
    seconds: { type: 'string', default: '5' },
    servers: { type: 'string', default: 'etcd,keystead' },
  },
});

console.log(
  '| flood | server | puts | quiet p99 ms | median ms | p99 ms | slowest ms | frames | failed | connections | server s | us a frame | loop delay ms |',
);
console.log('| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |');
const seconds = Number(values.seconds);
for (const kind of values.only.split(',') as FloodKind[]) {
  for (const server of values.servers.split(',') as MemberKind[]) {
    const f = await measureFlood(server, kind, seconds, seconds);
    const cells = [
      ...[
        kind,
        server,
        f.puts,
        f.quietP99Ms.toFixed(1),
        f.medianMs.toFixed(1),
        f.p99Ms.toFixed(1),
        f.slowestMs.toFixed(0),
      ],
      ...[f.frames, f.failed, f.connections, (f.serverMs / 1000).toFixed(2)],
      ...[
        ((f.serverMs * 1000) / f.frames).toFixed(1),
        Number.isNaN(f.loopDelayMs) ? '' : f.loopDelayMs.toFixed(0),
      ],
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}
