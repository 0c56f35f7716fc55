import type { ReplayTarget } from '../../backup/log/replay.ts';

/** The flags that name a moment, for `parseArgs`. */
export const momentFlags = {
  'to-time': { type: 'string' },
  'to-revision': { type: 'string' },
  'to-latest': { type: 'boolean' },
} as const;

const RFC3339 = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;

/** @returns undefined if none is given @throws Error if a value is invalid, or if several are given */
export function momentOf(
  values: Readonly<Record<string, string | boolean | undefined>>,
): ReplayTarget | undefined {
  const { 'to-time': time, 'to-revision': revision, 'to-latest': isLatest } = values;
  if ([time, revision, isLatest].filter((value) => value !== undefined).length > 1)
    throw new Error('give only one of --to-time, --to-revision and --to-latest');
  if (typeof time === 'string') {
    const timeMs = RFC3339.test(time) ? Date.parse(time.toUpperCase().replace(' ', 'T')) : NaN;
    if (Number.isNaN(timeMs))
      throw new Error(
        `--to-time must be a time as 2026-11-22T10:00:00Z or 2026-11-22T11:00:00+01:00, not ${time}`,
      );
    return { timeMs };
  }
  if (typeof revision === 'string') {
    const number = Number(revision);
    if (!/^\d+$/.test(revision) || !Number.isSafeInteger(number) || number === 0)
      throw new Error(`--to-revision must be a revision, not ${revision}`);
    return { revision: number };
  }
  return isLatest === true ? {} : undefined;
}
