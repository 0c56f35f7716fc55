import type { Message } from '../wire/gen/raftpb.ts';
import type { PeerContext } from './context.ts';
import { PeerStatus } from './peer-status.ts';
import { Pipeline } from './pipeline.ts';
import type { RequestAgents } from './request-agents.ts';
import { UrlPicker } from './url-picker.ts';

/**
 * A member that is not in this member's configuration yet, because this one is behind. Its messages must be answered to
 * catch up.
 */
export class Remote {
  readonly #pipeline: Pipeline;
  readonly status: PeerStatus;

  /** @throws TypeError for invalid URLs */
  constructor(options: { context: PeerContext; id: bigint; urls: readonly string[]; agents: RequestAgents }) {
    const { context, id, urls, agents } = options;
    const status = new PeerStatus(id, context.clock, context.logger);
    this.status = status;
    this.#pipeline = new Pipeline({
      context,
      status,
      agents,
      picker: new UrlPicker(urls),
      failed: (reason) => status.deactivate(reason),
    });
  }

  send(message: Message): void {
    if (!this.#pipeline.push(message)) this.status.sentFailures += 1;
  }

  stop(): void {
    this.#pipeline.stop();
  }
}
