import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { etcdFamilies } from './families.ts';
import { Metrics } from './metrics.ts';

const source = fileURLToPath(new URL('..', import.meta.url));

/** The code of a server: no tests, no simulator, and not the module that only prints the numbers. */
function production(folder = source): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    const inside = relative(source, path).split(sep);
    if (entry.isDirectory())
      return ['metrics', 'sim', 'testing', 'testdata', 'gen'].includes(inside.at(-1) ?? '')
        ? []
        : production(path);
    return /(?<!\.test|\.cases)\.ts$/.test(entry.name) ? [readFileSync(path, 'utf8')] : [];
  });
}

const groups = ['server', 'mvcc', 'lease', 'disk', 'network', 'scrapes'] as const;

/** Notes which numbers are read. */
function observed(metrics: Metrics, read: Set<string>): Metrics {
  const fields: Metrics = Object.create(metrics) as Metrics;
  for (const group of groups) {
    const value = new Proxy(metrics[group], {
      get(target, name) {
        read.add(`${group}.${String(name)}`);
        return Reflect.get(target, name) as unknown;
      },
    });
    Object.defineProperty(fields, group, { value });
  }
  return fields;
}

const read = new Set<string>();
const families = etcdFamilies(observed(new Metrics(), read), { server: '3.7.1', runtime: 'node20' }, true);
for (const family of families) {
  const values = family.type === 'histogram' ? family.histograms() : family.samples();
  Array.from<unknown>(values);
}

it('every number that a family prints is written by the server', () => {
  const code = production().join('\n');
  const unwritten = [...read].filter((place) => {
    // Counted, set or observed, or handed to what observes it.
    const name = place.replace('.', '\\.');
    const writes = new RegExp(`\\b${name}(\\+\\+| \\+?= |\\.(observe|with|add|set)\\(|\\)|,$|;$)`, 'm');
    return !writes.test(code);
  });
  expect(unwritten).toEqual([]);
});

it('every number is printed by a family', () => {
  const metrics = new Metrics();
  const all = groups.flatMap((group) => Object.keys(metrics[group]).map((field) => `${group}.${field}`));
  expect(all.filter((place) => !read.has(place))).toEqual([]);
});
