import { expect, it } from 'vitest';
import { parseMetrics } from '../client/read-metrics.ts';
import { bytesText } from '../../lib/text.ts';
import { sortRows, tableOf, type UsageRow, usageOf, withRates } from './usage-table.ts';

const member = (complete: 0 | 1, watchers: number): string =>
  `
# HELP keystead_usage_keys Keys by prefix.
keystead_usage_complete ${complete}
${complete === 0 ? '' : 'keystead_usage_keys{prefix="/a\\\\"} 2\nkeystead_usage_keys{prefix="other"} 5\n'}
${complete === 0 ? '' : 'keystead_usage_bytes{prefix="/a\\\\"} 2.5e+06\nkeystead_usage_bytes{prefix="other"} 300\n'}
${complete === 0 ? '' : 'keystead_usage_history_bytes{prefix="/a\\\\"} 2048\n'}
keystead_usage_writes_total{prefix="/a\\\\"} 10
keystead_usage_writes_total{prefix="other"} 7
keystead_usage_watchers{prefix="/a\\\\"} ${watchers}
process_max_fds 1e+06
`;

function rowsOf(...texts: readonly string[]) {
  return usageOf(texts.map(parseMetrics));
}

function rowOf(prefix: string, counts: readonly [number, number, number, number, number]): UsageRow {
  const [keys, bytes, historyBytes, writes, watches] = counts;
  return { prefix, keys, bytes, historyBytes, writes, writesPerSecond: undefined, watches };
}

it('takes counts from a member that is complete, and sums up watches', () => {
  const usage = rowsOf(member(0, 3), member(1, 4), 'up 1\n');
  expect(usage?.isComplete).toBe(true);
  expect(usage?.rows).toEqual([
    rowOf('/a\\', [2, 2_500_000, 2048, 10, 7]),
    rowOf('other', [5, 300, 0, 7, 0]),
  ]);
  expect(rowsOf(member(0, 3))?.isComplete).toBe(false);
  expect(rowsOf('up 1\n')).toBeUndefined();
});

it('sorts, limits and sums up rows', () => {
  const rows = rowsOf(member(1, 4))?.rows ?? [];
  expect(sortRows(rows, 'keys').map(({ prefix }) => prefix)).toEqual(['other', '/a\\']);
  expect(sortRows(rows, 'bytes').map(({ prefix }) => prefix)).toEqual(['/a\\', 'other']);
  expect(tableOf(sortRows(rows, 'bytes'), 1)).toEqual([
    'PREFIX  KEYS    BYTES  HISTORY  WRITES  WATCHES',
    '/a\\        2  2.4 MiB  2.0 KiB      10        4',
    '1 more     5    300 B      0 B       7        0',
    'total      7  2.4 MiB  2.0 KiB      17        4',
  ]);
});

it('shows the rate of writes, and none after a restart of the member', () => {
  const rows = rowsOf(member(1, 4))?.rows ?? [];
  const before = rows.map((row) => ({ ...row, writes: row.prefix === 'other' ? 9 : 4 }));
  expect(withRates(rows, before, 2000).map(({ writesPerSecond }) => writesPerSecond)).toEqual([3, undefined]);
});

it.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1536, '1.5 KiB'],
  [5 * 2 ** 40, '5.0 TiB'],
])('%i bytes are %s', (bytes, text) => expect(bytesText(bytes)).toBe(text));
