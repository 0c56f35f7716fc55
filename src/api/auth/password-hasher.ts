import type { Worker } from 'node:worker_threads';
import { defined } from '../../lib/assert.ts';
import { EtcdError, errors, GrpcCode } from '../../wire/errors.ts';
import type { PasswordOutcome, PasswordTask } from './password-task.ts';
import { RecentLogins } from './recent-logins.ts';
import { startPasswordWorker } from './worker-file.ts';

export interface PasswordHasherOptions {
  /** Of new hashes: 4 to 31. */
  readonly cost: number;
  /** Worker threads at most; they start when there is work and end when there has been none for a while. */
  readonly threads: number;
  readonly recent?: RecentLogins;
  readonly startWorker?: () => Worker;
}

export interface Login {
  readonly username: string;
  readonly password: string;
  /** What is stored for the user. */
  readonly hash: Buffer;
  /** False once nobody waits for the outcome: then no work is spent on it. */
  readonly isWanted: () => boolean;
}

/** Tasks waiting beyond which logins are refused: some seconds of work, and clients give up by then. */
const MAX_QUEUED = 512;
/** A worker without work ends after this, in milliseconds. */
const IDLE_MS = 30_000;
/** bcrypt looks at no more; etcd refuses longer ones. */
const MAX_PASSWORD_BYTES = 72;

const TOO_LONG = new EtcdError(GrpcCode.Unknown, 'bcrypt: password length exceeds 72 bytes');

interface Job {
  readonly task: PasswordTask;
  readonly login: Login | undefined;
  readonly resolve: (outcome: PasswordOutcome) => void;
  readonly reject: (error: Error) => void;
}

/**
 * bcrypt on worker threads. Waiting tasks are bounded, and users take turns, so that whoever tries passwords of one
 * user holds up nobody but that user. A login repeated shortly after it succeeded costs no further hash; one that
 * fails always does.
 */
export class PasswordHasher {
  readonly #cost: number;
  readonly #threads: number;
  readonly #recent: RecentLogins;
  readonly #startWorker: () => Worker;
  /** Tasks by user, in the order in which users have their turn. */
  readonly #queues = new Map<string, Job[]>();
  #queued = 0;
  readonly #idle: IdleWorker[] = [];
  readonly #workers = new Set<Worker>();
  #isClosed = false;

  constructor(options: PasswordHasherOptions) {
    this.#cost = options.cost;
    this.#threads = options.threads;
    this.#recent = options.recent ?? new RecentLogins();
    this.#startWorker = options.startWorker ?? startPasswordWorker;
  }

  /**
   * The bcrypt hash of a new password. Rejects with EtcdError.
   *
   * @param asker whose turn it takes
   */
  async hash(password: string, asker: string): Promise<Buffer> {
    if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) throw TOO_LONG;
    const outcome = await this.#queue(asker, { kind: 'hash', password, cost: this.#cost }, undefined);
    return Buffer.from(String(outcome));
  }

  /** Whether the password is the user's. Rejects with EtcdError where too many wait. */
  async verify(login: Login): Promise<boolean> {
    if (this.#recent.isKnown(login)) return true;
    const { username, password, hash } = login;
    const outcome = await this.#queue(username, { kind: 'compare', password, hash: hash.toString() }, login);
    return outcome === true;
  }

  close(): void {
    this.#isClosed = true;
    for (const jobs of this.#queues.values()) for (const job of jobs) job.reject(errors.Stopped);
    this.#queues.clear();
    this.#queued = 0;
    for (const { timer } of this.#idle) clearTimeout(timer);
    for (const worker of this.#workers) void worker.terminate();
  }

  #queue(user: string, task: PasswordTask, login: Login | undefined): Promise<PasswordOutcome> {
    if (this.#isClosed) return Promise.reject(errors.Stopped);
    if (this.#queued >= MAX_QUEUED) return Promise.reject(errors.RequestTooManyRequests);
    return new Promise((resolve, reject) => {
      const job: Job = { task, login, resolve, reject };
      const jobs = this.#queues.get(user);
      if (jobs === undefined) this.#queues.set(user, [job]);
      else jobs.push(job);
      this.#queued++;
      this.#dispatch();
    });
  }

  #dispatch(): void {
    while (this.#queued > 0 && (this.#idle.length > 0 || this.#workers.size < this.#threads)) {
      const job = this.#takeJob();
      if (job.login !== undefined) {
        if (!job.login.isWanted()) {
          job.resolve(false);
          continue;
        }
        // The same login may have succeeded while this one waited.
        if (this.#recent.isKnown(job.login)) {
          job.resolve(true);
          continue;
        }
      }
      this.#run(job, this.#takeWorker());
    }
  }

  /** The next job of the user whose turn it is; the user goes to the end of the line. */
  #takeJob(): Job {
    const [next] = this.#queues;
    const [user, jobs] = defined(next, 'queued jobs have a queue');
    const job = defined(jobs.shift(), 'queues that are kept are not empty');
    this.#queues.delete(user);
    if (jobs.length > 0) this.#queues.set(user, jobs);
    this.#queued--;
    return job;
  }

  #takeWorker(): Worker {
    const idle = this.#idle.pop();
    if (idle !== undefined) {
      clearTimeout(idle.timer);
      return idle.worker;
    }
    const worker = this.#startWorker();
    this.#workers.add(worker);
    worker.unref();
    return worker;
  }

  #run(job: Job, worker: Worker): void {
    const settle = (): void => {
      worker.off('message', onMessage);
      worker.off('error', onError);
      worker.off('exit', onExit);
    };
    const onMessage = (outcome: PasswordOutcome): void => {
      settle();
      if (job.login !== undefined && outcome === true) this.#recent.remember(job.login);
      job.resolve(outcome);
      this.#rest(worker);
      this.#dispatch();
    };
    const fail = (reason: string): void => {
      settle();
      this.#workers.delete(worker);
      job.reject(this.#isClosed ? errors.Stopped : new EtcdError(GrpcCode.Internal, reason));
      if (!this.#isClosed) this.#dispatch();
    };
    const onError = (error: Error): void => fail(`auth: password worker failed: ${error.message}`);
    const onExit = (): void => fail('auth: password worker ended');
    worker.on('message', onMessage);
    worker.on('error', onError);
    worker.on('exit', onExit);
    worker.postMessage(job.task);
  }

  #rest(worker: Worker): void {
    const idle: IdleWorker = {
      worker,
      timer: setTimeout(() => {
        this.#idle.splice(this.#idle.indexOf(idle), 1);
        this.#workers.delete(worker);
        void worker.terminate();
      }, IDLE_MS).unref(),
    };
    this.#idle.push(idle);
  }
}

interface IdleWorker {
  readonly worker: Worker;
  readonly timer: NodeJS.Timeout;
}
