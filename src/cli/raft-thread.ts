import type { Worker } from 'node:worker_threads';
import type { Logging } from '../logging/logging.ts';
import type { RemoteRaft } from '../raft-thread/remote-raft.ts';
import { startRemoteRaft } from '../raft-thread/start-remote-raft.ts';
import type { ControlFromRaft, ControlToRaft, RaftThreadData } from '../raft-thread/thread-data.ts';
import type { ConsensusOptions, StartConsensus } from '../server/start-consensus.ts';
import type { LogPlace, Storage } from '../storage/open-storage.ts';
import { startWorker } from '../threads/start-worker.ts';

/** The thread of raft and its log. */
export class RaftThread {
  readonly #logging: Logging;
  #worker: Worker | undefined;
  #onClosed: (() => void) | undefined;

  private constructor(logging: Logging) {
    this.#logging = logging;
  }

  /** Gives the log to the thread, which opens it. The thread starts when the member starts raft. */
  static async open(storage: Storage, logging: Logging): Promise<StartConsensus> {
    const thread = new RaftThread(logging);
    const log = await storage.handOverLog(() => thread.#close());
    return (options) => thread.#start(options, log);
  }

  #start(options: ConsensusOptions, { directory, segmentBytes, onFailure, onSync }: LogPlace): RemoteRaft {
    const { config, storage, identity, initialMembers, applied } = options;
    const { electionTicks, preVote, catchupBytes } = config;
    const { index, term, confState } = applied;
    const workerData: RaftThreadData = {
      log: { directory, segmentBytes },
      config: { electionTicks, preVote, catchupBytes },
      memberId: identity.memberId,
      initialMembers,
      isNew: storage.isNew,
      applied: { index, term, confState },
    };
    const worker = startWorker('raft-worker', { workerData });
    this.#worker = worker;
    const raft = startRemoteRaft(options, {
      post: (batch) => worker.postMessage(batch, [batch]),
      synced: onSync,
    });
    worker.on('message', (message: ArrayBuffer | ControlFromRaft) => {
      if (message instanceof ArrayBuffer) raft.receive(message);
      else if (message.kind === 'log')
        this.#logging.write(message.level, message.caller, message.message, message.fields);
      else if (message.kind === 'failed') onFailure(new Error(message.message));
      else this.#onClosed?.();
    });
    worker.on('error', (error) => this.#failed(error.stack ?? error.message));
    worker.on('exit', (code) => this.#failed(`exit code ${code}`));
    return raft;
  }

  /** Resolves when everything that raft has passed to the log is on disk. */
  async #close(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined) return;
    await new Promise<void>((resolve) => {
      this.#onClosed = resolve;
      worker.postMessage({ kind: 'close' } satisfies ControlToRaft);
    });
    await worker.terminate();
  }

  /** Without raft nothing can be acknowledged any more, and what it had promised to others is in the log. */
  #failed(reason: string): void {
    if (this.#onClosed !== undefined) return;
    this.#logging.write('fatal', 'cli/raft-thread.ts', 'the thread of raft has ended', { error: reason });
    process.exit(2);
  }
}
