import { bytesText } from '../../lib/text.ts';
import type { MetricSample } from '../client/read-metrics.ts';

/** One row of `keystead top`. */
export interface UsageRow {
  readonly prefix: string;
  readonly keys: number;
  /** Bytes of all stored revisions. */
  readonly bytes: number;
  readonly historyBytes: number;
  /** Since the start of the member's process. */
  readonly writes: number;
  /** Undefined before the second answer. */
  readonly writesPerSecond: number | undefined;
  /** Of all members that were asked. */
  readonly watches: number;
}

export const sortOrders = ['bytes', 'keys', 'writes', 'watches'] as const;
export type SortOrder = (typeof sortOrders)[number];

export interface Usage {
  readonly rows: readonly UsageRow[];
  /** False while the member still counts its keys after a start: keys and bytes are 0 then. */
  readonly isComplete: boolean;
}

/**
 * The usage by prefix from the metrics of members. All members have the same keys, so keys, bytes and writes are those of
 * the first one that has counted them. Watches are summed up.
 *
 * @returns undefined if none of them counts by prefix
 */
export function usageOf(members: readonly (readonly MetricSample[])[]): Usage | undefined {
  const counting = members.filter((samples) =>
    samples.some(({ name }) => name === 'keystead_usage_complete'),
  );
  const complete = counting.find((samples) =>
    samples.some(({ name, value }) => name === 'keystead_usage_complete' && value === 1),
  );
  const first = complete ?? counting[0];
  if (first === undefined) return undefined;
  const [keys, bytes, history, writes] = ['keys', 'bytes', 'history_bytes', 'writes_total'].map((name) =>
    byPrefix(first, name),
  );
  const watches = new Map<string, number>();
  for (const samples of counting)
    for (const [prefix, count] of byPrefix(samples, 'watchers'))
      watches.set(prefix, (watches.get(prefix) ?? 0) + count);
  const prefixes = new Set([...(writes?.keys() ?? []), ...watches.keys()]);
  const rows = [...prefixes].map((prefix) => ({
    prefix,
    keys: keys?.get(prefix) ?? 0,
    bytes: bytes?.get(prefix) ?? 0,
    historyBytes: history?.get(prefix) ?? 0,
    writes: writes?.get(prefix) ?? 0,
    writesPerSecond: undefined,
    watches: watches.get(prefix) ?? 0,
  }));
  return { rows, isComplete: complete !== undefined };
}

function byPrefix(samples: readonly MetricSample[], metric: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const { name, labels, value } of samples) {
    const { prefix } = labels;
    if (name === `keystead_usage_${metric}` && prefix !== undefined) found.set(prefix, value);
  }
  return found;
}

/** Adds the rate of writes since an earlier answer. After a restart of the member the counts are lower, and there is none. */
export function withRates(rows: readonly UsageRow[], before: readonly UsageRow[], ms: number): UsageRow[] {
  const earlier = new Map(before.map(({ prefix, writes }) => [prefix, writes]));
  return rows.map((row) => {
    const more = row.writes - (earlier.get(row.prefix) ?? 0);
    return { ...row, writesPerSecond: more >= 0 && ms > 0 ? (1000 * more) / ms : undefined };
  });
}

/** Largest first. Rows without anything are left out. */
export function sortRows(rows: readonly UsageRow[], order: SortOrder): UsageRow[] {
  return rows
    .filter(({ keys, bytes, writes, watches }) => keys + bytes + writes + watches > 0)
    .sort((a, b) => b[order] - a[order] || b.bytes - a.bytes || (a.prefix < b.prefix ? -1 : 1));
}

/** The table as lines. @param limit rows; the rest is summed up in one line */
export function tableOf(rows: readonly UsageRow[], limit: number): string[] {
  const hasRates = rows.some(({ writesPerSecond }) => writesPerSecond !== undefined);
  const cells = (row: UsageRow): string[] => [
    row.prefix,
    String(row.keys),
    bytesText(row.bytes),
    bytesText(row.historyBytes),
    String(row.writes),
    ...(hasRates ? [row.writesPerSecond === undefined ? '-' : row.writesPerSecond.toFixed(1)] : []),
    String(row.watches),
  ];
  const shown = rows.slice(0, limit);
  const rest = rows.slice(limit);
  const table = [
    ['PREFIX', 'KEYS', 'BYTES', 'HISTORY', 'WRITES', ...(hasRates ? ['WRITES/S'] : []), 'WATCHES'],
    ...shown.map(cells),
    ...(rest.length === 0 ? [] : [cells(sumOf(rest, `${rest.length} more`))]),
    cells(sumOf(rows, 'total')),
  ];
  const widths = (table[0] ?? []).map((_, column) =>
    Math.max(...table.map((line) => (line[column] ?? '').length)),
  );
  return table.map((line) =>
    line
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  '),
  );
}

function sumOf(rows: readonly UsageRow[], prefix: string): UsageRow {
  const sum = (read: (row: UsageRow) => number): number => rows.reduce((total, row) => total + read(row), 0);
  const hasRates = rows.some(({ writesPerSecond }) => writesPerSecond !== undefined);
  return {
    prefix,
    keys: sum(({ keys }) => keys),
    bytes: sum(({ bytes }) => bytes),
    historyBytes: sum(({ historyBytes }) => historyBytes),
    writes: sum(({ writes }) => writes),
    writesPerSecond: hasRates ? sum(({ writesPerSecond }) => writesPerSecond ?? 0) : undefined,
    watches: sum(({ watches }) => watches),
  };
}
