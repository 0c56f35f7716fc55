import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const created = new Set<string>();

/** A fresh directory that is removed when this process ends. */
export function tempDir(label: string): string {
  const path = mkdtempSync(join(tmpdir(), `keystead-${label}-`));
  created.add(path);
  return path;
}

export function removeTempDir(path: string): void {
  rmSync(path, { recursive: true, force: true });
  created.delete(path);
}

process.on('exit', () => {
  for (const path of created) rmSync(path, { recursive: true, force: true });
});
