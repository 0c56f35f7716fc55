/*
 * Writes the tables of docs/scale.md from `scripts/bench/scale-costs.json`.
 *
 *   npx tsx scripts/scale-page.ts
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readMeasured } from './bench/scale-costs.ts';
import { scaleTables } from './bench/scale-tables.ts';

const script = fileURLToPath(import.meta.url);
const page = join(script, '../../docs/scale.md');

export function readScalePage(): string {
  return readFileSync(page, 'utf8');
}

/** Returns the text of the page with new tables. */
export function renderScalePage(text: string): string {
  let rendered = text;
  for (const [name, table] of Object.entries(scaleTables(readMeasured()))) {
    const [open, close] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`];
    const start = rendered.indexOf(open);
    const end = rendered.indexOf(close);
    if (start < 0 || end < start) throw new Error(`docs/scale.md has no ${open} or ${close}`);
    rendered = `${rendered.slice(0, start)}${open}\n\n${table.join('\n')}\n\n${rendered.slice(end)}`;
  }
  return rendered;
}

export function writeScalePage(): void {
  writeFileSync(page, renderScalePage(readScalePage()));
}

if (process.argv[1] === script) writeScalePage();
