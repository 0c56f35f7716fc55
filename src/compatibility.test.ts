import { expect, it } from 'vitest';
import { readCompatibility, renderCompatibility } from '../scripts/compatibility-table.ts';
import { readMetricsPage, renderMetricsPage } from '../scripts/metrics-page.ts';

/** Removes the column widths that the formatter adds to tables. */
function bare(text: string): string {
  return text.replaceAll(/ *\| */g, '|').replaceAll(/-{3,}/g, '---');
}

it('docs/compatibility.md matches the code; if not, run: npx tsx scripts/compatibility-table.ts', () => {
  const text = readCompatibility();
  expect(bare(renderCompatibility(text))).toBe(bare(text));
});

it('docs/metrics.md matches the code; if not, run: npx tsx scripts/metrics-page.ts', () => {
  const text = readMetricsPage();
  expect(bare(renderMetricsPage(text))).toBe(bare(text));
});
