import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { removeTempDir, tempDir } from '../harness/temp-dir.ts';

/** Lets a server find another number of processors than there are. */
export class ProcessorCount {
  readonly #folder = tempDir('processor-count');
  readonly #library = join(this.#folder, 'processor-count.so');

  constructor() {
    const source = join(import.meta.dirname, 'processor-count.c');
    execFileSync('cc', ['-O2', '-shared', '-fPIC', '-o', this.#library, source]);
  }

  /** The environment of a server that finds so many. */
  of(count: number): NodeJS.ProcessEnv {
    return { LD_PRELOAD: this.#library, PROCESSOR_COUNT: String(count) };
  }

  remove(): void {
    removeTempDir(this.#folder);
  }
}
