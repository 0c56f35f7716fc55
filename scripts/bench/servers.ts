import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endpointStatuses, leaderEndpoint } from '../../e2e/harness/endpoint-status.ts';
import { Etcdctl } from '../../e2e/harness/etcdctl.ts';
import { keysteadBundle, requirePeer } from '../../e2e/harness/paths.ts';
import { freePort } from '../../e2e/harness/ports.ts';
import { peakResidentBytes, residentBytes } from '../../e2e/harness/processes.ts';
import { programEnvironment } from '../../e2e/harness/program.ts';

export type System = 'etcd' | 'keystead';
export const systems: readonly System[] = ['etcd', 'keystead'];

/**
 * Without serving threads unless a later flag says otherwise, so that figures do not depend on the number of cores.
 *
 * @param bundle another build than that of this tree
 */
export const keysteadCommand = (bundle = keysteadBundle(), node = process.execPath): readonly string[] => [
  node,
  bundle,
  '--keystead-serving-threads=0',
];

function healthy(port: number): Promise<boolean> {
  return new Promise((done) => {
    const probe = request({ host: '127.0.0.1', port, path: '/health', timeout: 1000 }, (response) => {
      response.resume();
      response.on('end', () => done(response.statusCode === 200));
    });
    probe.on('error', () => done(false));
    probe.on('timeout', () => probe.destroy());
    probe.end();
  });
}

function directoryBytes(path: string): number {
  let total = 0;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const full = join(path, entry.name);
    // A running server removes files meanwhile.
    total += entry.isDirectory()
      ? directoryBytes(full)
      : (statSync(full, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
  }
  return total;
}

/** A new cluster of several members, each with its own data directory. */
export class BenchCluster {
  readonly #system: System;
  readonly #size: number;
  readonly #directory = mkdtempSync(join(tmpdir(), 'keystead-bench-'));
  #members: { process: ChildProcess; port: number }[] = [];

  constructor(system: System, size: number) {
    this.#system = system;
    this.#size = size;
  }

  get endpoints(): readonly string[] {
    return this.#members.map(({ port }) => `127.0.0.1:${port}`);
  }

  /** Starts all members and waits until each answers `/health`. */
  async start(): Promise<void> {
    const names = Array.from({ length: this.#size }, (_, at) => `m${at}`);
    const peerUrls = await Promise.all(names.map(async () => `http://127.0.0.1:${await freePort()}`));
    const initialMembers = names.map((name, at) => `${name}=${peerUrls[at]}`).join(',');
    this.#members = await Promise.all(
      names.map(async (name, at) => {
        const port = await freePort();
        const client = `http://127.0.0.1:${port}`;
        const peerUrl = peerUrls[at] ?? '';
        const flags = [
          ...['--name', name, '--data-dir', join(this.#directory, name), '--log-level', 'error'],
          ...['--quota-backend-bytes', String(8 * 2 ** 30), '--initial-cluster', initialMembers],
          ...['--listen-client-urls', client, '--advertise-client-urls', client],
          ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
        ];
        return { process: launch(this.#system, flags), port };
      }),
    );
    for (const { port } of this.#members)
      while (!(await healthy(port))) await new Promise((wake) => setTimeout(wake, 20));
  }

  get pids(): readonly number[] {
    return this.#members.map(({ process: child }) => child.pid ?? 0);
  }

  pidOf(endpoint: string): number {
    return this.#members.find(({ port }) => endpoint.endsWith(`:${port}`))?.process.pid ?? 0;
  }

  /** Returns the endpoint of the leader. */
  async leader(): Promise<string> {
    const leader = leaderEndpoint(await endpointStatuses(new Etcdctl(this.endpoints.join(','))));
    if (leader === undefined) throw new Error('no member is the leader');
    return leader;
  }

  /** Kills the member at `endpoint` with SIGKILL. */
  async kill(endpoint: string): Promise<void> {
    const member = this.#members.find(({ port }) => endpoint.endsWith(`:${port}`));
    if (member === undefined) throw new Error(`no member at ${endpoint}`);
    member.process.kill('SIGKILL');
    await once(member.process, 'exit');
  }

  async remove(): Promise<void> {
    for (const { process: child } of this.#members)
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/**
 * @param cores the processors that the server may use, as in `taskset -c`
 * @param keystead how Keystead is started
 */
function launch(
  system: System,
  flags: readonly string[],
  cores?: string,
  keystead = keysteadCommand(),
): ChildProcess {
  const program = system === 'etcd' ? [requirePeer('etcd')] : keystead;
  const prefix = cores === undefined ? [] : ['taskset', '-c', cores];
  const [command = '', ...args] = [...prefix, ...program, ...flags];
  return spawn(command, args, { env: programEnvironment(), stdio: ['ignore', 'ignore', 'inherit'] });
}

/** One running server with its own data directory. etcd and Keystead are started with the same flags. */
export class BenchServer {
  #process: ChildProcess | undefined;
  #port = 0;
  readonly #directory = mkdtempSync(join(tmpdir(), 'keystead-bench-'));
  readonly #isSecure: boolean;

  /** If the flags contain a certificate, clients are served only over TLS. */
  constructor(
    readonly system: System,
    readonly flags: readonly string[] = [],
    readonly cores?: string,
    readonly keystead?: readonly string[],
  ) {
    this.#isSecure = flags.includes('--cert-file');
  }

  get endpoint(): string {
    return this.#isSecure ? `https://127.0.0.1:${this.#port}` : `127.0.0.1:${this.#port}`;
  }

  /** Starts the server. Returns the time in ms until `/health` has answered. */
  async start(): Promise<number> {
    this.#port = await freePort();
    const peerPort = await freePort();
    const healthPort = await freePort();
    const client = `${this.#isSecure ? 'https' : 'http'}://127.0.0.1:${this.#port}`;
    const peerUrl = `http://127.0.0.1:${peerPort}`;
    const flags = [
      ...['--data-dir', join(this.#directory, 'data'), '--quota-backend-bytes', String(8 * 2 ** 30)],
      ...['--listen-client-urls', client, '--advertise-client-urls', client],
      ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
      ...['--initial-cluster', `default=${peerUrl}`, '--log-level', 'error', ...this.flags],
      ...['--listen-metrics-urls', `http://127.0.0.1:${healthPort}`],
    ];
    const began = performance.now();
    const child = launch(this.system, flags, this.cores, this.keystead);
    this.#process = child;
    while (!(await healthy(healthPort))) {
      if (child.exitCode !== null) throw new Error(`${this.system} exited with code ${child.exitCode}`);
      await new Promise((wake) => setTimeout(wake, 2));
    }
    return performance.now() - began;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Resident set size in bytes. */
  rss(): number {
    return residentBytes(this.pid);
  }

  /** The largest resident set size since the last start, in bytes. */
  peakRss(): number {
    return peakResidentBytes(this.pid);
  }

  /** Disk usage of the data directory in bytes. */
  disk(): number {
    return directoryBytes(join(this.#directory, 'data'));
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  }

  async remove(): Promise<void> {
    await this.stop('SIGKILL');
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
