import { execFileSync } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from './paths.ts';
import { tempDir } from './temp-dir.ts';

/** A family of system calls: `write` is also pwrite and writev, `sync` is fsync and fdatasync. */
export type DiskCall = 'open' | 'read' | 'write' | 'sync' | 'rename' | 'truncate' | 'unlink';

/** Patterns for the two places of a data directory that are written to. `*` matches slashes as well. */
export const diskPaths = { log: '*/member/wal*', store: '*/member/rocksdb*' } as const;

export interface DiskFault {
  readonly calls: readonly DiskCall[];
  /** Held against a file's full path as by fnmatch(3), where `*` matches slashes too; without spaces. */
  readonly path: string;
  /** What the calls fail with. */
  readonly error?: 'EIO' | 'ENOSPC' | 'EDQUOT' | 'EROFS';
  /** Milliseconds that each call takes longer. */
  readonly delayMs?: number;
  /** Calls don't return until the fault is lifted. */
  readonly isStuck?: boolean;
  /** So many calls go through first. */
  readonly after?: number;
  /** So many calls are affected, and none after them. */
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

/** Why no disk can be made to fail here, or undefined where it can. Suites put it into their title. */
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
 * The disk of one process, which fails as it is told while the process runs: start the process with `env`. It reaches
 * programs that call the C library, as Node and RocksDB do, and not Go's, which make system calls themselves.
 */
export class FaultyDisk {
  readonly #rules = join(tempDir('faulty-disk'), 'rules');

  constructor() {
    this.heal();
  }

  get env(): NodeJS.ProcessEnv {
    return { LD_PRELOAD: builtLibrary(), DISK_FAULTS: this.#rules, UV_USE_IO_URING: '0' };
  }

  /** From now on these faults, and none of before. The first that matches a call counts. */
  set(...faults: readonly DiskFault[]): void {
    writeFileSync(`${this.#rules}.new`, faults.map((fault) => `${line(fault)}\n`).join(''));
    renameSync(`${this.#rules}.new`, this.#rules);
  }

  heal(): void {
    this.set();
  }
}
