import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const folders: string[] = [];

/**
 * A new folder that is removed after the test file. Modules that several test files share use this: without isolation
 * they are loaded once for all files, and an `afterAll` of their own would run after the first file only.
 */
export function tempFolder(label: string): string {
  const folder = mkdtempSync(join(tmpdir(), `keystead-${label}-`));
  folders.push(folder);
  return folder;
}

/** Called by the set-up file of the unit tests, which runs once for each test file. */
export function removeTempFoldersAtEnd(): void {
  afterAll(() => {
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  });
}
