import { promises as fs } from 'node:fs';
import { join } from 'node:path';
import type { HttpHandler } from '../api/http/handler.ts';
import type { SlowCalls } from '../grpc/slow-calls.ts';
import { EventLoopDelay } from '../metrics/event-loop.ts';
import type { Logger } from '../ports/logger.ts';
import { createStatusHandler, pageFiles } from './http.ts';
import { RecentDelay, TURN_MS } from './recent-delay.ts';
import { SLICE_MS, SlowestRequests } from './slowest-requests.ts';
import { StatusSource, type StatusSourceOptions } from './status-source.ts';

export interface StatusPageOptions extends Omit<StatusSourceOptions, 'recentDelay' | 'slowRequests'> {
  /** Folder with the files of the page. */
  readonly folder: string;
  readonly logger: Logger;
}

/** The status page of a member. It measures from its creation on, and is served by `handler`. */
export class StatusPage {
  readonly handler: HttpHandler;
  readonly #recentDelay: RecentDelay;
  readonly #options: StatusPageOptions;
  readonly #stops: (() => void)[];
  #slowest: SlowestRequests | undefined;

  private constructor(options: StatusPageOptions, files: ReadonlyMap<string, string>) {
    this.#options = options;
    const { clock, scheduler, config } = options.member;
    const recentDelay = new RecentDelay([new EventLoopDelay(), new EventLoopDelay()], () => clock.now());
    this.#recentDelay = recentDelay;
    this.#stops = [
      scheduler.every(TURN_MS, () => recentDelay.turn()),
      scheduler.every(SLICE_MS, () => this.#slowest?.nextSlice()),
    ];
    const source = new StatusSource({
      ...options,
      recentDelay,
      slowRequests: () => this.#slowest?.list() ?? [],
    });
    this.handler = createStatusHandler({
      files,
      report: () => source.read(),
      hostWhitelist: config.hostWhitelist,
      logger: options.logger,
    });
  }

  /** Rejects if a file of the page cannot be read. */
  static async open(options: StatusPageOptions): Promise<StatusPage> {
    const files = await Promise.all(
      Object.entries(pageFiles).map(
        async ([path, { file }]) => [path, await fs.readFile(join(options.folder, file), 'utf8')] as const,
      ),
    );
    return new StatusPage(options, new Map(files));
  }

  /** The receiver of slow calls for the server: keeps the slowest for the page, and passes on those to be logged. */
  watching(logged: SlowCalls): SlowCalls {
    const { clock } = this.#options.member;
    this.#slowest = new SlowestRequests(logged, () => clock.wall());
    return this.#slowest;
  }

  stop(): void {
    for (const stop of this.#stops) stop();
    this.#recentDelay.stop();
  }
}
