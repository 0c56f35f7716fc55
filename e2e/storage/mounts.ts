import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A mounted file system. */
export interface Mount {
  readonly path: string;
  unmount(): void;
  /** Unmounts, and mounts what `args` describe at the same path. */
  again(...args: string[]): Mount;
}

/** @param args what `mount` takes before the directory */
export function mount(...args: string[]): Mount {
  const path = mkdtempSync(join(tmpdir(), 'keystead-mount-'));
  return mountAt(path, args);
}

function mountAt(path: string, args: readonly string[]): Mount {
  execFileSync('mount', [...args, path], { stdio: 'pipe' });
  const unmount = (): void => void execFileSync('umount', [path], { stdio: 'pipe' });
  return {
    path,
    unmount: () => {
      unmount();
      rmdirSync(path);
    },
    again: (...others) => {
      unmount();
      return mountAt(path, others);
    },
  };
}

/** Whether this process may mount this. It needs root, and containers seldom allow it. */
export function canMount(...args: string[]): boolean {
  try {
    mount(...args).unmount();
    return true;
  } catch {
    return false;
  }
}
