import { readdirSync, rmSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { timestamp } from './line-format.ts';

const DAY_MS = 24 * 60 * 60_000;

/** The new name of a full file: `name-2026-11-20T22-00-00.000.log`, as lumberjack names it. */
export function backupPath(path: string, nowMs: number, localTime = false): string {
  const utc = new Date(nowMs).toISOString();
  const time = (localTime ? timestamp(nowMs) : utc).slice(0, 23).replaceAll(':', '-');
  const extension = extname(path);
  return join(dirname(path), `${basename(path, extension)}-${time}${extension}`);
}

export interface BackupLimits {
  /** 0 keeps any number of files. */
  readonly maxBackups: number;
  /** 0 keeps files of any age. */
  readonly maxAgeDays?: number;
  readonly localTime?: boolean;
}

/** Removes backups of a file above the limits, the oldest first. */
export function removeOldBackups(path: string, limits: BackupLimits): void {
  const { maxBackups, maxAgeDays = 0, localTime = false } = limits;
  const prefix = `${basename(path, extname(path))}-`;
  const folder = dirname(path);
  // The names contain the time, so the newest sorts last.
  const backups = readdirSync(folder)
    .filter((name) => name.startsWith(prefix) && /\.\d{3}/.test(name))
    .sort()
    .reverse();
  const oldest = maxAgeDays === 0 ? '' : backupPath(path, Date.now() - maxAgeDays * DAY_MS, localTime);
  backups.forEach((name, place) => {
    const surplus = maxBackups > 0 && place >= maxBackups;
    if (surplus || name < basename(oldest)) rmSync(join(folder, name), { force: true });
  });
}
