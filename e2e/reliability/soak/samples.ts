/** The resource usage of a process at one moment. */
export interface Sample {
  readonly seconds: number;
  readonly member: string;
  readonly residentMb: number;
  readonly files: number;
  readonly diskMb: number;
  readonly processorSeconds: number;
  readonly loopDelayMs: number;
  readonly answered: number;
  readonly failed: number;
}

type Figure = 'residentMb' | 'files' | 'diskMb' | 'loopDelayMs';

interface Bound {
  readonly title: string;
  /** The last quarter may be this factor times the second quarter, plus this amount. */
  readonly times: number;
  readonly more: number;
}

export const bounds: Readonly<Record<Figure, Bound>> = {
  residentMb: { title: 'memory (MB)', times: 1.15, more: 40 },
  files: { title: 'file descriptors', times: 1.1, more: 15 },
  diskMb: { title: 'disk (MB)', times: 1.15, more: 140 },
  loopDelayMs: { title: 'event loop, 99 of 100 turns (ms late)', times: 1.5, more: 20 },
};

/** A process is not warm before; until then its figures may rise by more. */
const SHORT_SECONDS = 600;
const SHORT_TIMES = 3;

const COLUMNS = [
  ...['seconds', 'member', 'residentMb', 'files', 'diskMb'],
  ...['processorSeconds', 'loopDelayMs', 'answered', 'failed'],
] as const;

export function csv(samples: readonly Sample[]): string {
  const lines = samples.map((sample) => COLUMNS.map((column) => String(sample[column])).join(','));
  return `${COLUMNS.join(',')}\n${lines.join('\n')}\n`;
}

/**
 * What is not flat: a figure of a member whose median over the last quarter is above that over the second one.
 * The first quarter is warming up.
 */
export function notFlat(samples: readonly Sample[], member: string): string[] {
  const isShort = (samples.at(-1)?.seconds ?? 0) < SHORT_SECONDS;
  const own = samples.filter((sample) => sample.member === member);
  const quarter = own.length >> 2;
  if (quarter === 0) return [`${member} was sampled ${own.length} times, too few to say anything`];
  return (Object.keys(bounds) as Figure[]).flatMap((figure) => {
    const values = own.map((sample) => sample[figure]);
    const before = median(values.slice(quarter, 2 * quarter));
    const after = median(values.slice(-quarter));
    const { title, times, more } = bounds[figure];
    const limit = before * times + more * (isShort ? SHORT_TIMES : 1);
    return after <= limit
      ? []
      : [
          `${member}: ${title} went from ${before.toFixed(1)} to ${after.toFixed(1)}, above ${limit.toFixed(1)}`,
        ];
  });
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
