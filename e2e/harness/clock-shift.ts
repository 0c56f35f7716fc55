import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from './paths.ts';
import { tempDir } from './temp-dir.ts';

/** A wall clock of one process that can be shifted. It needs a dynamically linked program, so it is impossible for etcd. */
export class ShiftedClock {
  readonly #file: string;
  readonly #library: string;

  constructor() {
    const folder = tempDir('clock');
    this.#file = join(folder, 'shift');
    this.#library = join(folder, 'clock-shift.so');
    const source = join(repositoryRoot, 'e2e/harness/clock-shift.c');
    execFileSync('cc', ['-O2', '-shared', '-fPIC', '-o', this.#library, source]);
    writeFileSync(this.#file, Buffer.alloc(8));
  }

  /** Environment variables for the process with this clock. */
  get environment(): NodeJS.ProcessEnv {
    return { LD_PRELOAD: this.#library, CLOCK_SHIFT_FILE: this.#file };
  }

  /** Sets the offset of the clock. */
  shift(milliseconds: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(milliseconds));
    const file = openSync(this.#file, 'r+');
    writeSync(file, bytes, 0, bytes.length, 0);
    closeSync(file);
  }
}
