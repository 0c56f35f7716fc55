import { execFileSync } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from './paths.ts';
import { tempDir } from './temp-dir.ts';

/** A family of system calls: `write` is also pwrite and writev, `sync` is fsync and fdatasync. */
export type DiskCall = 'open' | 'read' | 'write' | 'sync' | 'rename' | 'truncate' | 'unlink';

/** Patterns for the log and the store of a data directory. `*` also matches slashes. */
export const diskPaths = { log: '*/member/wal*', store: '*/member/rocksdb*' } as const;

export interface DiskFault {
  readonly calls: readonly DiskCall[];
  /** Pattern for the full path of a file, as in fnmatch(3), where `*` also matches slashes; without spaces. */
  readonly path: string;
  /** The error of the calls. */
  readonly error?: 'EIO' | 'ENOSPC' | 'EDQUOT' | 'EROFS';
  /** Delay of each call in milliseconds. */
  readonly delayMs?: number;
  /** Calls do not return until the fault is removed. */
  readonly isStuck?: boolean;
  /** Number of successful calls before the fault starts. */
  readonly after?: number;
  /** Number of affected calls. */
  readonly times?: number;
}

function line({ calls, path, error, delayMs, isStuck, after, times }: DiskFault): string {
  const words = [calls.join(','), path];
  if (error !== undefined) words.push(`errno=${constants.errno[error]}`);
  if (delayMs !== undefined) words.push(`delay=${delayMs}`);
  if (isStuck === true) words.push('stuck');
  if (after !== undefined) words.push(`after=${after}`);
  if (times !== undefined) words.push(`times=${times}`);
  return words.join(' ');
}

const compiler = ['cc', 'gcc', 'clang'].find((name) => {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
});

/** The reason why disk faults are impossible here, or undefined. Suites put it into their title. */
export const diskFaultsMissing =
  process.platform !== 'linux'
    ? 'skipped: LD_PRELOAD faults need Linux'
    : compiler === undefined
      ? 'skipped: no C compiler (cc, gcc or clang)'
      : undefined;

let library: string | undefined;

function builtLibrary(): string {
  if (compiler === undefined) throw new Error('no C compiler');
  if (library === undefined) {
    library = join(tempDir('disk-faults'), 'disk-faults.so');
    const source = join(repositoryRoot, 'e2e/harness/disk-faults.c');
    execFileSync(compiler, ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl', '-lpthread']);
  }
  return library;
}

/**
 * A disk with faults for one process, which must be started with `env`. The faults can be changed while it runs. It works
 * for programs that use the C library, such as Node.js and RocksDB, but not for Go programs.
 */
export class FaultyDisk {
  readonly #rules = join(tempDir('faulty-disk'), 'rules');

  constructor() {
    this.heal();
  }

  get env(): NodeJS.ProcessEnv {
    return { LD_PRELOAD: builtLibrary(), DISK_FAULTS: this.#rules, UV_USE_IO_URING: '0' };
  }

  /** Replaces all faults. The first one that matches a call applies. */
  set(...faults: readonly DiskFault[]): void {
    writeFileSync(`${this.#rules}.new`, faults.map((fault) => `${line(fault)}\n`).join(''));
    renameSync(`${this.#rules}.new`, this.#rules);
  }

  heal(): void {
    this.set();
  }
}
