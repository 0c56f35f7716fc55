import { expect, it } from 'vitest';
import { readCompatibility, renderCompatibility } from '../scripts/compatibility-table.ts';

/** Removes the column widths that the formatter adds to tables. */
function bare(text: string): string {
  return text.replaceAll(/ *\| */g, '|').replaceAll(/-{3,}/g, '---');
}

it('docs/compatibility.md matches the code; if not, run: npx tsx scripts/compatibility-table.ts', () => {
  const text = readCompatibility();
  expect(bare(renderCompatibility(text))).toBe(bare(text));
});
