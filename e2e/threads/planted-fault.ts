import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Member } from '../harness/member.ts';
import { removeTempDir, tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';

/** A fault in a thread of a member, by a module that is loaded into every thread; see `thread-fault-preload.mjs`. */
export class PlantedFault {
  /** The environment of the member. */
  readonly env: NodeJS.ProcessEnv;
  readonly #folder = tempDir('thread-fault');
  readonly #file = join(this.#folder, 'fault');

  constructor(thread: 'raft' | 'serving') {
    const preload = join(import.meta.dirname, 'thread-fault-preload.mjs');
    this.env = {
      NODE_OPTIONS: `--import ${preload}`,
      KEYSTEAD_TEST_FAULT_FILE: this.#file,
      KEYSTEAD_TEST_FAULT_THREAD: thread,
    };
  }

  /** Lets the thread fail, expects that the member ends with `message`, and starts it again without the fault. */
  async restartAfter(member: Member, message: string): Promise<void> {
    writeFileSync(this.#file, '');
    const { program } = member;
    await eventually('the end of the process', () => !program.alive);
    expect(program.exitCode).toBe(2);
    expect(program.tail()).toContain(message);
    expect(program.tail()).toContain('a planted fault');
    await member.stop();
    this.remove();
    await member.start();
  }

  remove(): void {
    removeTempDir(this.#folder);
  }
}
