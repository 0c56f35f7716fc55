import type { EventEmitter } from 'node:events';
import { createServer } from 'node:net';
import type { Worker } from 'node:worker_threads';
import type { Config } from '../config/config.ts';
import type { GrpcServer } from '../grpc/server.ts';
import { defined } from '../lib/assert.ts';
import type { Logging } from '../logging/logging.ts';
import type { ThreadReads } from '../ports/thread-reads.ts';
import { CoreCalls } from '../serving/core-calls.ts';
import type { ControlToCore, EndedCalls, ServingThreadData } from '../serving/thread-data.ts';
import { startWorker } from '../threads/start-worker.ts';
import { listenAddress } from './listen-address.ts';

/** A thread that does not end in this time after the drain is ended. */
const STOP_SLACK_MS = 1_000;

export interface ServingThreadsOptions {
  readonly config: Config;
  readonly grpc: GrpcServer;
  /** Serves the connections with HTTP/1.1. */
  readonly http: Pick<EventEmitter, 'emit'>;
  readonly heldBytes: Float64Array;
  /** Undefined if the threads do not read the store. */
  readonly reads: { readonly core: ThreadReads; readonly slowMs: number } | undefined;
  readonly logging: Logging;
}

interface Thread {
  readonly worker: Worker;
  readonly calls: CoreCalls;
  /** Called with each control message except log lines and counts. */
  onAnswer: (message: ControlToCore) => void;
}

/** The serving threads of a server. They listen on the client URLs. Their calls are answered in this thread. */
export class ServingThreads {
  readonly #options: ServingThreadsOptions;
  readonly #threads: Thread[] = [];
  #isStopping = false;

  constructor(options: ServingThreadsOptions) {
    this.#options = options;
  }

  /** Starts the threads. Resolves when all of them listen. Rejects with the error of a listener. */
  async listen(): Promise<void> {
    const { config } = this.#options;
    if (config.servingThreads > 1 && !config.socketReusePort) await checkPortsAreFree(config);
    const addresses = config.listenClientUrls.length + config.listenClientHttpUrls.length;
    const connections = new Int32Array(
      new SharedArrayBuffer(Math.max(1, addresses) * Int32Array.BYTES_PER_ELEMENT),
    );
    for (let thread = 0; thread < config.servingThreads; thread++)
      this.#threads.push(this.#start(thread, connections));
    await Promise.all(this.#threads.map((thread) => listening(thread)));
  }

  /** Sends all responses so far. */
  flush(): void {
    for (const { calls } of this.#threads) calls.flush();
  }

  /** Ends the connections. Calls in progress have `graceMs` milliseconds. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#threads.map((thread) => stopped(thread, graceMs)));
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()));
    for (const { calls } of this.#threads) calls.storeReturned();
  }

  #start(thread: number, connections: Int32Array): Thread {
    const { config, grpc, http, heldBytes, reads } = this.#options;
    const methods = grpc.methods();
    const data: ServingThreadData<Config> = {
      config,
      methods,
      thread,
      threads: config.servingThreads,
      heldBytes,
      connections,
      slowReadMs: reads?.slowMs,
    };
    const worker = startWorker('serving-worker', { workerData: data });
    const started: Thread = {
      worker,
      calls: new CoreCalls({
        port: worker,
        calls: grpc,
        methods,
        reads: reads?.core,
        serveHttp: (socket) => void http.emit('connection', socket),
        onControl: (message) => this.#onControl(started, message as ControlToCore),
      }),
      onAnswer: () => undefined,
    };
    worker.on('error', (error) => this.#failed(thread, error.stack ?? error.message));
    worker.on('exit', (code) => this.#failed(thread, `exit code ${code}`));
    return started;
  }

  #onControl(thread: Thread, message: ControlToCore): void {
    const { logging } = this.#options;
    if (message.kind === 'log') logging.write(message.level, message.caller, message.message, message.fields);
    else if (message.kind === 'ended') this.#count(message.calls);
    else if (message.kind === 'returned') thread.calls.storeReturned();
    else thread.onAnswer(message);
  }

  /** Calls that were not complete enough to be forwarded. */
  #count(ended: EndedCalls): void {
    const stats = this.#options.grpc.methodStats();
    for (const [method, code, count] of ended) {
      const counted = defined(stats[method], 'a serving thread knows the methods');
      counted.started += count;
      counted.countHandled(code, count);
    }
  }

  /** The clients of a thread that died wait for answers that will not come, and its state is unknown. */
  #failed(thread: number, reason: string): void {
    if (this.#isStopping) return;
    const fields = { thread, error: reason };
    this.#options.logging.write('fatal', 'cli/serving-threads.ts', 'a serving thread has ended', fields);
    process.exit(2);
  }
}

function listening(thread: Thread): Promise<void> {
  return new Promise((resolve, reject) => {
    thread.onAnswer = (message) => {
      if (message.kind === 'listening') resolve();
      else if (message.kind === 'failed')
        reject(Object.assign(new Error(message.message), { syscall: message.syscall }));
    };
    thread.calls.control({ kind: 'listen' });
  });
}

function stopped(thread: Thread, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, graceMs + STOP_SLACK_MS);
    thread.onAnswer = () => {
      clearTimeout(timer);
      resolve();
    };
    thread.calls.control({ kind: 'stop', graceMs });
  });
}

/**
 * With SO_REUSEPORT, which several threads need, a second server would listen on the same port without an error. So it
 * is first tried without.
 */
async function checkPortsAreFree(config: Config): Promise<void> {
  for (const url of [...config.listenClientUrls, ...config.listenClientHttpUrls]) {
    if (url.socketPath !== undefined) continue;
    const probe = createServer();
    await new Promise<void>((resolve, reject) => {
      probe.once('error', reject);
      probe.listen(listenAddress(url, { socketReusePort: false }), () => probe.close(() => resolve()));
    });
  }
}
