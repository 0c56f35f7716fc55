import { Program } from './program.ts';
import { eventually } from './wait.ts';
import { freePort } from './ports.ts';
import { keysteadBundle, requirePeer } from './paths.ts';
import { removeTempDir, tempDir } from './temp-dir.ts';

export type MemberKind = 'etcd' | 'keystead';

/**
 * The server under test. KEYSTEAD_E2E_SERVER=etcd runs the suites with real etcd instead of Keystead. This checks the
 * suite itself: a test that fails with etcd is wrong.
 */
export const serverUnderTest: MemberKind =
  process.env['KEYSTEAD_E2E_SERVER'] === 'etcd' ? 'etcd' : 'keystead';

/**
 * KEYSTEAD_E2E_SERVING_THREADS=N starts every Keystead member with so many serving threads, and `auto` with as many as
 * fit the machine. Without it there are none, so that results do not depend on the number of cores. More than one need
 * Node.js 22.12; KEYSTEAD_E2E_NODE names the Node.js that runs the members.
 */
export const servingThreads = process.env['KEYSTEAD_E2E_SERVING_THREADS'] ?? '';
/** KEYSTEAD_E2E_RAFT_THREAD=1 gives raft a thread of its own in every Keystead member. */
const hasRaftThread = process.env['KEYSTEAD_E2E_RAFT_THREAD'] === '1';
/** The flags of these settings. */
export const threadFlags: readonly string[] = [
  `--keystead-serving-threads=${servingThreads === '' ? '0' : servingThreads}`,
  ...(hasRaftThread ? ['--keystead-raft-thread'] : []),
];
export const nodePath = process.env['KEYSTEAD_E2E_NODE'] ?? process.execPath;

export interface MemberOptions {
  kind: MemberKind;
  name?: string;
  /** Further flags, after the ones that give addresses and the data directory. */
  flags?: readonly string[];
  env?: NodeJS.ProcessEnv;
  clientPort?: number;
  peerPort?: number;
  /** Address of both ports. */
  host?: string;
  dataDir?: string;
  readyTimeoutMs?: number;
  /** A command, with its arguments, that runs the member. */
  prefix?: readonly string[];
  /** The directory it runs in. */
  cwd?: string;
  /** URL of the health check. The default is the client address, which must then be without TLS. */
  healthUrl?: string;
}

/** One member, etcd or Keystead, started with the same flags; it keeps ports and data across restarts. */
export class Member {
  readonly kind: MemberKind;
  readonly name: string;
  readonly clientPort: number;
  readonly peerPort: number;
  readonly host: string;
  readonly dataDir: string;
  readonly #flags: readonly string[];
  readonly #env: NodeJS.ProcessEnv;
  readonly #readyTimeoutMs: number;
  readonly #prefix: readonly string[];
  readonly #cwd: string | undefined;
  /** URL of the health check. */
  readonly healthUrl: string;
  #program: Program | undefined;

  private constructor(
    options: MemberOptions,
    places: { clientPort: number; peerPort: number; dataDir: string },
  ) {
    this.kind = options.kind;
    this.name = options.name ?? 'm0';
    this.clientPort = places.clientPort;
    this.peerPort = places.peerPort;
    this.host = options.host ?? '127.0.0.1';
    this.dataDir = places.dataDir;
    this.#flags = options.flags ?? [];
    this.#env = options.env ?? {};
    this.#readyTimeoutMs = options.readyTimeoutMs ?? 20_000;
    this.#prefix = options.prefix ?? [];
    this.#cwd = options.cwd;
    this.healthUrl = options.healthUrl ?? this.clientUrl;
  }

  /** Starts a member and waits until its client port serves. */
  static async start(options: MemberOptions): Promise<Member> {
    const member = new Member(options, {
      clientPort: options.clientPort ?? (await freePort()),
      peerPort: options.peerPort ?? (await freePort()),
      dataDir: options.dataDir ?? tempDir(options.kind),
    });
    await member.start();
    return member;
  }

  get endpoint(): string {
    return `${this.host}:${this.clientPort}`;
  }

  get clientUrl(): string {
    return `http://${this.endpoint}`;
  }

  get program(): Program {
    if (this.#program === undefined) throw new Error(`${this.name} is not running`);
    return this.#program;
  }

  get pid(): number {
    return this.program.pid;
  }

  async start(): Promise<void> {
    const [command, ...before] = this.#command();
    const args = [...before, ...this.#addressFlags(), ...this.#threadFlags(), ...this.#flags];
    const program = new Program(`${this.kind} ${this.name}`, command, args, {
      env: this.#env,
      ...(this.#cwd === undefined ? {} : { cwd: this.#cwd }),
    });
    this.#program = program;
    await eventually(
      `${this.kind} serving ${this.healthUrl}`,
      async () => {
        program.mustBeAlive();
        const response = await fetch(`${this.healthUrl}/health`, { signal: AbortSignal.timeout(1_000) });
        return response.status === 200;
      },
      { timeoutMs: this.#readyTimeoutMs, everyMs: 10 },
    ).catch((error: unknown) => {
      const output = program.tail();
      program.signal('SIGKILL');
      throw new Error(`${String(error)}\n${output}`, { cause: error });
    });
  }

  /** Stops the process with a signal and keeps the data. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.#program?.stop(signal);
    this.#program = undefined;
  }

  async kill(): Promise<void> {
    await this.stop('SIGKILL');
  }

  async restart(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.stop(signal);
    await this.start();
  }

  /** Kills the process and removes the data. */
  async destroy(): Promise<void> {
    await this.kill();
    removeTempDir(this.dataDir);
  }

  #command(): [string, ...string[]] {
    const own = this.kind === 'etcd' ? [requirePeer('etcd')] : [nodePath, keysteadBundle()];
    const [command = '', ...args] = [...this.#prefix, ...own];
    return [command, ...args];
  }

  #threadFlags(): readonly string[] {
    return this.kind === 'etcd' ? [] : threadFlags;
  }

  #addressFlags(): string[] {
    const peerUrl = `http://${this.host}:${this.peerPort}`;
    return [
      `--name=${this.name}`,
      `--data-dir=${this.dataDir}`,
      `--listen-client-urls=${this.clientUrl}`,
      `--advertise-client-urls=${this.clientUrl}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=${this.name}=${peerUrl}`,
    ];
  }
}
