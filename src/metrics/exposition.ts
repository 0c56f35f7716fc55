import type { Family, Labels } from './family.ts';
import type { Histogram } from './histogram.ts';

/** The content type of the text format, as the Go client declares it. */
export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8; escaping=underscores';

/**
 * The families in the Prometheus text format 0.0.4, sorted by name. Families without samples are left out. This is
 * our own code because a client library would cost 30 ms and 11 MB.
 */
export function exposition(families: readonly Family[]): string {
  const lines: string[] = [];
  const sorted = [...families].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  for (const family of sorted) {
    const before = lines.length;
    lines.push(`# HELP ${family.name} ${escapeHelp(family.help)}`, `# TYPE ${family.name} ${family.type}`);
    const header = lines.length;
    if (family.type === 'histogram') {
      for (const [labels, value] of byLabels(family.histograms()))
        pushHistogram(lines, family.name, labels, value);
    } else {
      for (const [labels, value] of byLabels(family.samples())) {
        lines.push(`${family.name}${labelText(labels)} ${numberText(value)}`);
      }
    }
    if (lines.length === header) lines.length = before;
  }
  lines.push('');
  return lines.join('\n');
}

/** In the order of the label values. The sort key of each entry is made once: some families have a thousand entries. */
function byLabels<T>(entries: Iterable<readonly [Labels, T]>): (readonly [Labels, T])[] {
  const keyed = [...entries].map((entry) => ({ key: entry[0].map(([, value]) => value).join('\0'), entry }));
  keyed.sort(({ key: a }, { key: b }) => (a < b ? -1 : a > b ? 1 : 0));
  return keyed.map(({ entry }) => entry);
}

function pushHistogram(lines: string[], name: string, labels: Labels, value: Histogram): void {
  const own = labels.map(([label, text]) => `${label}="${escapeLabel(text)}",`).join('');
  let total = 0;
  value.bounds.forEach((bound, place) => {
    total += value.counts[place] ?? 0;
    lines.push(`${name}_bucket{${own}le="${numberText(bound)}"} ${numberText(total)}`);
  });
  total += value.counts[value.bounds.length] ?? 0;
  const text = labelText(labels);
  lines.push(
    `${name}_bucket{${own}le="+Inf"} ${numberText(total)}`,
    `${name}_sum${text} ${numberText(value.sum)}`,
    `${name}_count${text} ${numberText(total)}`,
  );
}

function labelText(labels: Labels): string {
  if (labels.length === 0) return '';
  const pairs = labels.map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return `{${pairs.join(',')}}`;
}

const needsEscape = /[\\"\n]/;

function escapeLabel(text: string): string {
  if (!needsEscape.test(text)) return text;
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

/** Prints a float like Go in its shortest form: with an exponent below 1e-4 and from 1e6 on. */
export function numberText(value: number): string {
  if (value === Infinity) return '+Inf';
  if (value === -Infinity) return '-Inf';
  const size = Math.abs(value);
  if (Number.isNaN(value) || size === 0 || (size >= 1e-4 && size < 1e6)) return String(value);
  const [mantissa, exponent] = value.toExponential().split('e');
  const power = Number(exponent);
  return `${mantissa ?? ''}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
}
