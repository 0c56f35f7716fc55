import type { ClientSettings } from './client-flags.ts';
import { httpGet } from './http-get.ts';

/** One sample of a metric. */
export interface MetricSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** An answer to a request for metrics. */
export interface MetricsAnswer {
  readonly samples: readonly MetricSample[];
  /** See `HttpAnswer`. */
  readonly serverMs: number | undefined;
}

/**
 * Reads the metrics of an endpoint.
 *
 * @throws Error if it does not answer in time, or with anything else than metrics
 */
export async function readMetrics(endpoint: string, settings: ClientSettings): Promise<MetricsAnswer> {
  const { text, serverMs } = await httpGet(endpoint, '/metrics', settings);
  return { samples: parseMetrics(text), serverMs };
}

/** Parses the text format of Prometheus. Lines that are no samples are left out. */
export function parseMetrics(text: string): MetricSample[] {
  const samples: MetricSample[] = [];
  for (const line of text.split('\n')) {
    const match = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (match === null) continue;
    const [, name = '', labels = '', value = ''] = match;
    samples.push({ name, labels: labelsOf(labels), value: numberOf(value) });
  }
  return samples;
}

function labelsOf(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [, name = '', value = ''] of text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
    labels[name] = value.replace(/\\(.)/g, (_, next: string) => (next === 'n' ? '\n' : next));
  return labels;
}

function numberOf(text: string): number {
  if (text === '+Inf') return Infinity;
  return text === '-Inf' ? -Infinity : Number(text);
}
