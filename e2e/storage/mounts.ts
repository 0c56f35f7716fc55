import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A mounted file system. */
export interface Mount {
  readonly path: string;
  unmount(): void;
}

/** @param args what `mount` takes before the directory */
export function mount(...args: string[]): Mount {
  const path = mkdtempSync(join(tmpdir(), 'keystead-mount-'));
  mkdirSync(path, { recursive: true });
  execFileSync('mount', [...args, path], { stdio: 'pipe' });
  return {
    path,
    unmount: () => {
      execFileSync('umount', [path], { stdio: 'pipe' });
      rmdirSync(path);
    },
  };
}

/** Whether this process may mount what `args` describe: it takes root, and containers seldom allow it. */
export function canMount(...args: string[]): boolean {
  try {
    mount(...args).unmount();
    return true;
  } catch {
    return false;
  }
}
