interface Bar {
  readonly scenario: string;
  readonly figure: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  readonly etcd: number;
  readonly keystead: number;
}

const ROW = 26;
const LABEL = 560;
const SCALE = 300;
const MAX_TIMES = 100;

/** Draws an SVG chart of the ratios to etcd, on a logarithmic scale around 1. */
export function chart(title: string, bars: readonly Bar[]): string {
  const height = ROW * (bars.length + 2);
  const width = LABEL + 2 * SCALE + 80;
  const rows = bars.map((bar, at) => row(bar, ROW * (at + 2)));
  const middle = LABEL + SCALE / 2;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height + ROW}" font-family="sans-serif" font-size="13">`,
    '<rect width="100%" height="100%" fill="white"/>',
    `<text x="8" y="20" font-size="15">${escape(title)}</text>`,
    `<line x1="${middle}" x2="${middle}" y1="${ROW}" y2="${height}" stroke="gray"/>`,
    `<text x="${middle}" y="${height + 14}" text-anchor="middle" fill="gray">as etcd</text>`,
    ...rows,
    '</svg>',
    '',
  ].join('\n');
}

function row(bar: Bar, y: number): string {
  const times = bar.better === 'higher' ? bar.keystead / bar.etcd : bar.etcd / bar.keystead;
  const bounded = Math.min(MAX_TIMES, Math.max(1 / MAX_TIMES, times));
  const middle = LABEL + SCALE / 2;
  const length = (Math.log10(bounded) / Math.log10(MAX_TIMES)) * SCALE;
  const x = Math.min(middle, middle + length);
  const color = times >= 1 ? '#2f7d4f' : '#b3462c';
  const label = `${bar.scenario}: ${bar.figure}`;
  return [
    `<text x="${LABEL - 150}" y="${y + 14}" text-anchor="end">${escape(label)}</text>`,
    `<rect x="${x}" y="${y + 3}" width="${Math.abs(length).toFixed(1)}" height="${ROW - 10}" fill="${color}"/>`,
    `<text x="${Math.max(middle, middle + length) + 6}" y="${y + 14}">${times.toFixed(2)} times</text>`,
  ].join('\n');
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
