import type { Figure, Figures, Scenario } from './scenarios.ts';
import type { System } from './servers.ts';

export interface ScenarioResult {
  readonly scenario: Scenario;
  readonly measured: Readonly<Record<System, readonly Figures[]>>;
}

interface Row {
  readonly scenario: string;
  readonly figure: string;
  readonly unit: string;
  readonly etcd: number;
  readonly keystead: number;
  readonly ratio: number;
  readonly target: string;
  readonly met: boolean | undefined;
}

/** The middle value, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? NaN)) / 2;
}

function judge(
  figure: Figure,
  keystead: number,
  ratio: number,
): { target: string; met: boolean | undefined } {
  const sign = figure.better === 'higher' ? '>=' : '<=';
  const holds = (value: number, limit: number): boolean =>
    figure.better === 'higher' ? value >= limit : value <= limit;
  if (figure.target !== undefined)
    return { target: `${sign} ${figure.target}x`, met: holds(ratio, figure.target) };
  if (figure.bound !== undefined)
    return { target: `${sign} ${figure.bound} ${figure.unit}`, met: holds(keystead, figure.bound) };
  return { target: '', met: undefined };
}

function rows({ scenario, measured }: ScenarioResult): Row[] {
  return scenario.figures.map((figure) => {
    const middle = (system: System): number =>
      median(measured[system].map((round) => round[figure.name] ?? NaN));
    const etcd = middle('etcd');
    const keystead = middle('keystead');
    const ratio = keystead / etcd;
    return {
      scenario: scenario.name,
      figure: figure.name,
      unit: figure.unit,
      etcd,
      keystead,
      ratio,
      ...judge(figure, keystead, ratio),
    };
  });
}

/** Returns the figures that compare the two systems, for a chart. */
export function bars(results: readonly ScenarioResult[]) {
  return results.flatMap((result) =>
    rows(result).map((row, at) => ({ ...row, better: result.scenario.figures[at]?.better ?? 'higher' })),
  );
}

function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}

/** Formats with two decimals. A ratio below 0.1 has two significant digits, so that it is never shown as zero. */
export function ratioText(ratio: number): string {
  return ratio >= 0.1 ? ratio.toFixed(2) : String(Number(ratio.toPrecision(2)));
}

/** Returns a Markdown table of medians and ratios, and the data of all rounds. */
export function report(results: readonly ScenarioResult[]): { table: string; data: unknown } {
  const lines = [
    '| scenario | figure | etcd | Keystead | ratio | target | met |',
    '| --- | --- | --- | --- | --- | --- | --- |',
  ];
  for (const row of results.flatMap(rows)) {
    const met = row.met === undefined ? '' : row.met ? 'yes' : 'NO';
    lines.push(
      `| ${row.scenario} | ${row.figure} (${row.unit}) | ${short(row.etcd)} | ${short(row.keystead)} | ${ratioText(row.ratio)} | ${row.target} | ${met} |`,
    );
  }
  const data = results.map((result) => ({
    name: result.scenario.name,
    medians: rows(result),
    rounds: result.measured,
  }));
  return { table: lines.join('\n'), data };
}
