import type { Histogram } from './histogram.ts';

/** Label names and values of one sample, in the order of the output. */
export type Labels = readonly (readonly [name: string, value: string])[];

export type Sample = readonly [labels: Labels, value: number];

/** One metric family. */
export type Family =
  | {
      readonly name: string;
      readonly type: 'counter' | 'gauge';
      readonly help: string;
      readonly samples: () => Iterable<Sample>;
    }
  | {
      readonly name: string;
      readonly type: 'histogram';
      readonly help: string;
      readonly histograms: () => Iterable<readonly [Labels, Histogram]>;
    };

const none: Labels = [];

export function counter(name: string, help: string, read: () => number): Family {
  return { name, type: 'counter', help, samples: () => [[none, read()]] };
}

export function gauge(name: string, help: string, read: () => number): Family {
  return { name, type: 'gauge', help, samples: () => [[none, read()]] };
}

export function labelled(
  type: 'counter' | 'gauge',
  name: string,
  help: string,
  samples: () => Iterable<Sample>,
): Family {
  return { name, type, help, samples };
}

export function histogram(name: string, help: string, read: Histogram): Family {
  return { name, type: 'histogram', help, histograms: () => [[none, read]] };
}

/** Pairs label names with values. They are sorted by name, as in Prometheus' Go client. */
export function zipLabels(names: readonly string[], values: readonly string[]): Labels {
  return names
    .map((name, place) => [name, values[place] ?? ''] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
