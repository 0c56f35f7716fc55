import type { Worker } from 'node:worker_threads';
import { defined } from '../../lib/assert.ts';
import { EtcdError, errors, GrpcCode } from '../../wire/errors.ts';
import type { PasswordOutcome, PasswordTask } from './password-task.ts';
import { RecentLogins } from './recent-logins.ts';
import { startWorker } from '../../threads/start-worker.ts';

export interface PasswordHasherOptions {
  /** The bcrypt cost of new hashes: 4 to 31. */
  readonly cost: number;
  /** The largest number of worker threads. They start when there is work and end after a time without work. */
  readonly threads: number;
  readonly recent?: RecentLogins;
  readonly startWorker?: () => Worker;
}

export interface Login {
  readonly username: string;
  readonly password: string;
  /** The stored hash of the user. */
  readonly hash: Buffer;
  /** Returns false when the caller has left. Then no work is done for it. */
  readonly isWanted: () => boolean;
}

/** How many tasks may wait. This is some seconds of work, after which clients give up. Further tasks are refused. */
const MAX_QUEUED = 512;
/** A worker ends after this many milliseconds without work. */
const IDLE_MS = 30_000;
/** bcrypt uses no more bytes of a password. etcd refuses longer passwords. */
const MAX_PASSWORD_BYTES = 72;

const TOO_LONG = new EtcdError(GrpcCode.Unknown, 'bcrypt: password length exceeds 72 bytes');

interface Job {
  readonly task: PasswordTask;
  readonly login: Login | undefined;
  readonly resolve: (outcome: PasswordOutcome) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Runs bcrypt on worker threads. The number of waiting tasks is limited, and users take turns. So a client that tries
 * many passwords of one user delays only that user. A login that is repeated shortly after it succeeded needs no
 * second hash. A failed login always needs one.
 */
export class PasswordHasher {
  readonly #cost: number;
  readonly #threads: number;
  readonly #recent: RecentLogins;
  readonly #startWorker: () => Worker;
  /** Tasks by user, in the order of the users' turns. */
  readonly #queues = new Map<string, Job[]>();
  #queued = 0;
  readonly #idle: IdleWorker[] = [];
  readonly #workers = new Set<Worker>();
  #isClosed = false;

  constructor(options: PasswordHasherOptions) {
    this.#cost = options.cost;
    this.#threads = options.threads;
    this.#recent = options.recent ?? new RecentLogins();
    this.#startWorker = options.startWorker ?? (() => startWorker('password-worker'));
  }

  /**
   * The bcrypt hash of a new password. Rejects with EtcdError.
   *
   * @param asker the user whose turn is used
   */
  async hash(password: string, asker: string): Promise<Buffer> {
    if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) throw TOO_LONG;
    const outcome = await this.#queue(asker, { kind: 'hash', password, cost: this.#cost }, undefined);
    return Buffer.from(String(outcome));
  }

  /** Whether the password is correct. Rejects with EtcdError if too many tasks wait. */
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
        // The same login may have succeeded in the meantime.
        if (this.#recent.isKnown(job.login)) {
          job.resolve(true);
          continue;
        }
      }
      this.#run(job, this.#takeWorker());
    }
  }

  /** The next job of the user whose turn it is. That user then goes to the end of the queue. */
  #takeJob(): Job {
    const [next] = this.#queues;
    const [user, jobs] = defined(next, 'queued jobs have a queue');
    const job = defined(jobs.shift(), 'kept queues are not empty');
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
