import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { eventually, GiveUp, type WaitOptions } from './wait.ts';

const running = new Set<Program>();

/** The log message of a turn of the event loop that was too long; see KEYSTEAD_MAX_TURN_MS in docs/testing.md. */
export const longTurns: string[] = [];
const LONG_TURN = 'turn of the event loop over its bound';

process.on('exit', () => {
  for (const program of running) program.signal('SIGKILL');
});

/** As `npm start` and the image set it, see docs/install.md. */
const MALLOC = 'glibc.malloc.mxfast=0';

/**
 * This process's environment, with glibc's settings of a member. It is without a setting that is only for the machine's
 * own tools: Node.js reads all certificates of NODE_EXTRA_CA_CERTS at each start, which takes 50 ms of processor time; a
 * server does not use them.
 */
export function programEnvironment(): NodeJS.ProcessEnv {
  const { GLIBC_TUNABLES = MALLOC } = process.env;
  return { ...process.env, GLIBC_TUNABLES, NODE_EXTRA_CA_CERTS: undefined };
}

export interface ProgramOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Lines of output kept for messages and waiting; older ones are dropped. */
  keptLines?: number;
}

/** A long-running child process whose output is recorded. It is killed when the test process ends. */
export class Program {
  readonly title: string;
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #dead = false;

  constructor(title: string, command: string, args: readonly string[], options: ProgramOptions = {}) {
    this.title = title;
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...programEnvironment(), ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    const keptLines = options.keptLines ?? 20_000;
    collectLines(child.stdout, this.lines, keptLines);
    collectLines(child.stderr, this.lines, keptLines);
    running.add(this);
    child.once('error', (error) => {
      this.lines.push(String(error));
      this.#ended();
    });
    child.once('exit', () => this.#ended());
    this.#exited = Promise.race([once(child, 'exit'), once(child, 'error')]);
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.title} did not start`);
    return this.#child.pid;
  }

  get alive(): boolean {
    return !this.#dead;
  }

  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  /** The last lines of output, for error messages. */
  tail(count = 30): string {
    return this.lines.slice(-count).join('\n');
  }

  /** Throws, with the output, when the process has ended: for use inside waits. */
  mustBeAlive(): void {
    if (this.#dead) throw new GiveUp(`${this.title} ended (code ${String(this.exitCode)}):\n${this.tail()}`);
  }

  /** Waits for a line of output that contains `text`. */
  async sees(text: string, options?: WaitOptions): Promise<string> {
    return eventually(
      `"${text}" in the output of ${this.title}`,
      () => {
        const found = this.lines.find((line) => line.includes(text));
        if (found === undefined) this.mustBeAlive();
        return found;
      },
      options,
    );
  }

  signal(name: NodeJS.Signals): void {
    if (!this.#dead) this.#child.kill(name);
  }

  /** Sends a signal and waits for the exit. After `graceMs` it kills the process and throws. */
  async stop(name: NodeJS.Signals = 'SIGTERM', graceMs = 20_000): Promise<void> {
    if (this.#dead) return;
    this.#child.kill(name);
    let overdue = false as boolean;
    const timer = setTimeout(() => {
      overdue = true;
      this.#child.kill('SIGKILL');
    }, graceMs);
    await this.#exited;
    clearTimeout(timer);
    if (overdue)
      throw new Error(`${this.title} did not end within ${graceMs} ms of ${name}:\n${this.tail()}`);
  }

  #ended(): void {
    this.#dead = true;
    running.delete(this);
  }
}

function collectLines(stream: NodeJS.ReadableStream | null, into: string[], limit: number): void {
  if (stream === null) return;
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    into.push(...parts);
    longTurns.push(...parts.filter((line) => line.includes(LONG_TURN)));
    if (into.length > limit) into.splice(0, into.length - limit);
  });
  stream.on('end', () => {
    if (rest !== '') into.push(rest);
  });
}
