import type { EventLoopDelay } from './event-loop.ts';
import { exposition } from './exposition.ts';
import { etcdFamilies } from './families.ts';
import type { Family } from './family.ts';
import type { Metrics } from './metrics.ts';
import { processFamilies } from './process-families.ts';
import type { Versions } from './versions.ts';

export interface RegistryOptions {
  readonly metrics: Metrics;
  readonly versions: Versions;
  readonly eventLoop: EventLoopDelay;
  /** Whether `--metrics extensive` is set. */
  readonly extensive: boolean;
}

/** Renders all metrics. The families are made at the first scrape, so they cost nothing without scrapes. */
export class Registry {
  readonly #options: RegistryOptions;
  readonly #added: Family[] = [];
  #families: Family[] | undefined;

  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  /** Adds more families. Call it before the first scrape. */
  add(...families: readonly Family[]): void {
    this.#added.push(...families);
  }

  /** All families, for tests and documentation. */
  families(): readonly Family[] {
    const { metrics, versions, eventLoop, extensive } = this.#options;
    this.#families ??= [
      ...etcdFamilies(metrics, versions, extensive),
      ...processFamilies(),
      ...eventLoop.families(),
      ...this.#added,
    ];
    return this.#families;
  }

  /** The result of one scrape, in the Prometheus text format. */
  render(): string {
    this.#options.metrics.fill();
    return exposition(this.families());
  }
}
