import { expect, it } from 'vitest';
import { readCompatibility, renderCompatibility } from '../scripts/compatibility-table.ts';

/** Whatever the formatter does to a table: widths and rules between rows. */
function bare(text: string): string {
  return text.replaceAll(/ *\| */g, '|').replaceAll(/-{3,}/g, '---');
}

it('docs/compatibility.md says what the code does; else run: npx tsx scripts/compatibility-table.ts', () => {
  const text = readCompatibility();
  expect(bare(renderCompatibility(text))).toBe(bare(text));
});
