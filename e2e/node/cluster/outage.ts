import { setTimeout as sleep } from 'node:timers/promises';
import type { RealNode } from '../real-node.ts';

const PAUSE_MS = 50;
const REQUEST_TIMEOUT = '1s';

/** Writes to the API server again and again. Measures the longest time without an acknowledged write. */
export class WriteProbe {
  readonly #node: RealNode;
  #running = true;
  #last = performance.now();
  #longest = 0;
  #acknowledged = 0;
  readonly #done: Promise<void>;

  constructor(node: RealNode) {
    this.#node = node;
    this.#done = this.#run();
  }

  /** Stops and returns the longest outage in milliseconds, and the number of the last acknowledged write. */
  async stop(): Promise<{ longestMs: number; acknowledged: number }> {
    this.#running = false;
    await this.#done;
    return { longestMs: Math.round(this.#longest), acknowledged: this.#acknowledged };
  }

  async #run(): Promise<void> {
    for (let number = 1; this.#running; number++) {
      const patch = JSON.stringify({ data: { number: String(number) } });
      const { code } = await this.#node.tryKubectl([
        ...[`--request-timeout=${REQUEST_TIMEOUT}`, 'patch', 'configmap', 'probe', '--type=merge'],
        ...['--patch', patch],
      ]);
      const now = performance.now();
      this.#longest = Math.max(this.#longest, now - this.#last);
      if (code === 0) {
        this.#last = now;
        this.#acknowledged = number;
      }
      await sleep(PAUSE_MS);
    }
  }
}
