import { readFileSync } from 'node:fs';

/* `tsx e2e/reliability/matrix-table.ts FILE` prints the table of docs/reliability.md from a file of `npm run matrix`. */
interface Line {
  readonly cluster: string;
  readonly fault: string;
  readonly outageMs: number;
  readonly backMs: number;
}

const lines = readFileSync(process.argv[2] ?? '', 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Line);

/** The median of all runs. */
function cell(members: string, kind: string, fault: string): string {
  const own = lines.filter((line) => line.cluster === kind + members && line.fault === fault);
  const middle = (figure: (line: Line) => number): string =>
    ((own.map(figure).sort((a, b) => a - b)[own.length >> 1] ?? 0) / 1_000).toFixed(2);
  return own.length === 0 ? '-' : `${middle(({ outageMs }) => outageMs)} / ${middle(({ backMs }) => backMs)}`;
}

console.log('| members | fault | Keystead | etcd 3.7.1 | mixed |\n| --- | --- | --- | --- | --- |');
for (const members of ['1', '3'])
  for (const fault of new Set(
    lines.filter(({ cluster }) => cluster.endsWith(members)).map((line) => line.fault),
  ))
    console.log(
      `| ${members} | ${fault} | ${['keystead', 'etcd', 'mixed'].map((kind) => cell(members, kind, fault)).join(' | ')} |`,
    );
