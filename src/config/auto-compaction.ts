import type { AutoCompaction } from './config.ts';
import { parseGoDuration, quote } from './go-syntax.ts';

const HOUR_MS = 3_600_000;

/**
 * Parses `--auto-compaction-retention`. A bare number means hours in periodic mode and revisions in revision mode.
 * Anything else is a duration. In revision mode etcd uses the nanoseconds of a duration as a number of revisions;
 * Keystead does the same.
 *
 * @returns the policy, or etcd's error text
 */
export function autoCompaction(mode: 'periodic' | 'revision', retention: string): AutoCompaction | string {
  const text = retention === '' ? '0' : retention;
  if (/^\+?\d+$/.test(text) && Number.isSafeInteger(Number(text))) {
    const amount = Number(text);
    if (amount === 0) return { mode: 'off' };
    return mode === 'periodic'
      ? { mode, retentionMs: amount * HOUR_MS }
      : { mode, retentionRevisions: amount };
  }
  const durationMs = parseGoDuration(text);
  if (durationMs === undefined) return `error parsing CompactionRetention: ${durationFault(text)}`;
  if (durationMs <= 0) return { mode: 'off' };
  return mode === 'periodic'
    ? { mode, retentionMs: durationMs }
    : { mode, retentionRevisions: Math.round(durationMs * 1e6) };
}

function durationFault(text: string): string {
  const body = text.replace(/^[+-]/, '');
  if (/^(?:[\d.]+(?:ns|us|µs|μs|ms|s|m|h))*\d+\.?\d*$/.test(body))
    return `time: missing unit in duration ${quote(text)}`;
  const unit = /^(?:[\d.]+(?:ns|us|µs|μs|ms|s|m|h))*[\d.]*\d[\d.]*([^\d.]+)/.exec(body)?.[1];
  if (unit !== undefined) return `time: unknown unit ${quote(unit)} in duration ${quote(text)}`;
  return `time: invalid duration ${quote(text)}`;
}
