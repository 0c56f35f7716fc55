/**
 * Processor time of the core thread and of the others, per operation, for servers with serving threads and without.
 *
 *     npx tsx scripts/bench/threads.ts --variants 0,1,4 --rounds 3 --scenario put --total 60000 --warm 60000
 *
 * A variant is a number of serving threads, `N+raft` with raft in a thread of its own, or `N@BUNDLE` for another build.
 * The variants run one after the other in each round, with new data. The figures are medians of the rounds. Options:
 * `--node PATH` runs the servers with another Node.js (more than one thread need 22.12); `--tls` has clients use TLS;
 * `--clients`, `--conns` and `--value-size` as in the load generator.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { keysteadBundle } from '../../e2e/harness/paths.ts';
import { freePort } from '../../e2e/harness/ports.ts';
import { programEnvironment } from '../../e2e/harness/program.ts';
import { residentBytes } from '../../e2e/harness/processes.ts';
import { eventually } from '../../e2e/harness/wait.ts';
import { Authority } from '../../src/tls/testing/authority.ts';
import { runLoad } from './load.ts';
import { median } from './report.ts';

const { values } = parseArgs({
  options: {
    variants: { type: 'string', default: '0,1,4' },
    rounds: { type: 'string', default: '3' },
    node: { type: 'string', default: process.execPath },
    tls: { type: 'boolean', default: false },
    scenario: { type: 'string', default: 'put' },
    total: { type: 'string', default: '60000' },
    warm: { type: 'string', default: '60000' },
    clients: { type: 'string', default: '100' },
    conns: { type: 'string', default: '10' },
    'value-size': { type: 'string', default: '256' },
  },
});

interface Round {
  readonly coreUs: number;
  /** Not a number if raft has no thread of its own. */
  readonly raftUs: number;
  readonly allUs: number;
  readonly rate: number;
  readonly p99: number;
  readonly residentMb: number;
}

async function measure(variant: string): Promise<Round> {
  const [kind = '0', bundle = keysteadBundle()] = variant.split('@');
  const [threads = '0', raft] = kind.split('+');
  const data = mkdtempSync(join(tmpdir(), 'keystead-threads-'));
  const [client, peer, health] = [await freePort(), await freePort(), await freePort()];
  const urls = {
    client: `${values.tls ? 'https' : 'http'}://127.0.0.1:${client}`,
    peer: `http://127.0.0.1:${peer}`,
    health: `http://127.0.0.1:${health}`,
  };
  const tls = values.tls ? certificates(data) : { server: [], client: [] };
  const server = spawn(
    values.node,
    [
      ...[
        bundle,
        '--data-dir',
        join(data, 'data'),
        '--log-level',
        'error',
        '--quota-backend-bytes',
        String(8 * 2 ** 30),
      ],
      ...['--listen-client-urls', urls.client, '--advertise-client-urls', urls.client],
      ...['--listen-peer-urls', urls.peer, '--initial-advertise-peer-urls', urls.peer],
      ...['--initial-cluster', `default=${urls.peer}`],
      ...['--listen-metrics-urls', urls.health, '--keystead-serving-threads', threads, ...tls.server],
      ...(raft === undefined ? [] : ['--keystead-raft-thread']),
    ],
    { stdio: ['ignore', 'inherit', 'inherit'], env: programEnvironment() },
  );
  try {
    await eventually('a healthy server', async () => (await fetch(`${urls.health}/health`)).status === 200);
    const pid = server.pid ?? 0;
    const args = Object.entries(values)
      .filter(([name]) => !['variants', 'rounds', 'node', 'tls'].includes(name))
      .flatMap(([name, value]) => [`--${name}`, String(value)]);
    // The thread of the process itself is the core.
    const named = [{ pid, thread: pid }, ...threadsNamed(pid, 'raft')];
    const load = await runLoad(urls.client.replace('http://', ''), [...args, ...tls.client], [[pid]], named);
    const perOperation = (us: number): number => us / load.operations;
    return {
      coreUs: perOperation(load.threadUs[0] ?? NaN),
      raftUs: perOperation(load.threadUs[1] ?? NaN),
      allUs: perOperation(load.processorTime[0]?.allUs ?? NaN),
      rate: load.rate,
      p99: load.p99,
      residentMb: residentBytes(pid) / 2 ** 20,
    };
  } finally {
    server.kill('SIGKILL');
    await once(server, 'exit');
    rmSync(data, { recursive: true, force: true });
  }
}

/** Writes certificates. Returns the flags of the server and of the load generator. */
function certificates(directory: string): { server: string[]; client: string[] } {
  const file = (name: string, content: string): string => {
    const path = join(directory, name);
    writeFileSync(path, content);
    return path;
  };
  const authority = new Authority();
  const { certificate, keyPem } = authority.issue({ hosts: ['127.0.0.1'] });
  return {
    server: ['--cert-file', file('server.crt', certificate), '--key-file', file('server.key', keyPem)],
    client: ['--cacert', file('ca.crt', authority.certificate)],
  };
}

function threadsNamed(pid: number, name: string): { pid: number; thread: number }[] {
  return readdirSync(`/proc/${pid}/task`)
    .filter((thread) => readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8').trim() === name)
    .map((thread) => ({ pid, thread: Number(thread) }));
}

const variants = values.variants.split(',');
const rounds = new Map<string, Round[]>(variants.map((variant) => [variant, []]));
for (let round = 0; round < Number(values.rounds); round++)
  for (const variant of variants) rounds.get(variant)?.push(await measure(variant));

console.log(`${values.scenario}: variant, core us, raft us, all us, rate, p99 ms, resident MB (medians)`);
for (const [variant, measured] of rounds) {
  const of = (name: keyof Round): string => median(measured.map((each) => each[name])).toFixed(1);
  console.log(
    [variant, of('coreUs'), of('raftUs'), of('allUs'), of('rate'), of('p99'), of('residentMb')].join('\t') +
      `\tcore of each round: ${measured.map(({ coreUs }) => coreUs.toFixed(1)).join(' ')}`,
  );
}
