import { posix } from 'node:path';
import { FlagValueError } from '../../config/go-syntax.ts';
import { parseInitialCluster } from '../../config/initial-cluster.ts';
import { reasonOf } from '../../lib/text.ts';
import type { Logger } from '../../ports/logger.ts';

/** A key-value pair of the discovery service. */
export interface RegistryRow {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
}

/** The discovery service as a key-value store. All methods reject if it does not answer. */
export interface RegistryStore {
  get(key: string): Promise<string | undefined>;
  /** Returns all rows with a key prefix, as of `revision`. */
  list(prefix: string): Promise<{ readonly rows: readonly RegistryRow[]; readonly revision: number }>;
  put(key: string, value: string): Promise<void>;
  /** Watches puts from a revision on. Throws if the stream fails; it never ends by itself. */
  watch(prefix: string, fromRevision: number): AsyncIterable<readonly RegistryRow[]>;
  close(): void;
}

export interface RegistryOptions {
  readonly store: RegistryStore;
  readonly token: string;
  readonly logger: Logger;
  /** Waits for a number of milliseconds. */
  readonly pause: (ms: number) => Promise<void>;
}

/** The cluster cannot be created. The message is etcd's. */
export class RegistryError extends Error {
  override readonly name = 'RegistryError';
}

export const FULL = 'discovery: cluster is full';

/** The pause doubles from 2 seconds up to 2 to the power of this, 256 seconds. */
const MAX_EXPONENT = 8;

interface Registered {
  readonly size: number;
  readonly rows: Map<string, RegistryRow>;
  readonly revision: number;
}

/**
 * Client of etcd's v3 discovery protocol, by which members of a new cluster find each other. Each member puts its
 * `name=url` under `/_etcd/registry/<token>/members` and waits until there are as many as `_config/size` says. The
 * first ones become the members of the cluster.
 */
export class Registry {
  readonly #options: RegistryOptions;
  readonly #membersPrefix: string;
  readonly #sizeKey: string;
  #failures = 0;

  constructor(options: RegistryOptions) {
    this.#options = options;
    const root = posix.join('/_etcd/registry', options.token);
    this.#membersPrefix = posix.join(root, 'members');
    this.#sizeKey = posix.join(root, '_config/size');
  }

  /**
   * Registers this member and waits for all others without a timeout. Resolves to all members in the format of
   * `--initial-cluster`. Rejects with RegistryError.
   *
   * @param id member id in hexadecimal
   * @param urls peer URLs of this member, as `name=url` separated by commas
   */
  async join(id: string, urls: string): Promise<string> {
    const { store, logger } = this.#options;
    const key = posix.join(this.#membersPrefix, id);
    checkRoom(await this.#registered(), key);
    await this.#persist('register this member', () => store.put(key, urls));
    logger.info('registered with the discovery service', { 'member-key': key, 'member-info': urls });
    let registered = await this.#registered();
    checkRoom(registered, key);
    while (registered.rows.size < registered.size) {
      await this.#waitForOthers(registered);
      // A failed watch may have missed some members.
      if (registered.rows.size < registered.size) registered = await this.#registered();
    }
    return clusterOf(registered);
  }

  /** Reads the present registrations. */
  #registered(): Promise<Registered> {
    const { store } = this.#options;
    return this.#persist('read the state of the cluster', async () => {
      const text = await store.get(this.#sizeKey);
      if (text === undefined) throw new RegistryError('discovery: size key not found');
      const size = /^[+-]?[0-9]+$/.test(text) ? Number(text) : 0;
      if (size <= 0 || !Number.isSafeInteger(size)) throw new RegistryError('discovery: size key is bad');
      const { rows, revision } = await store.list(this.#membersPrefix);
      const registered: Registered = { size, rows: new Map(), revision };
      for (const row of rows) this.#add(registered, row);
      return registered;
    });
  }

  async #waitForOthers(registered: Registered): Promise<void> {
    const { store, logger } = this.#options;
    const { rows, size } = registered;
    logger.info('waiting for peers from discovery service', {
      'cluster-size': size,
      'found-peers': rows.size,
    });
    try {
      for await (const put of store.watch(this.#membersPrefix, registered.revision + 1)) {
        for (const row of put) this.#add(registered, row);
        if (rows.size >= size) return;
      }
    } catch (error) {
      await this.#backOff('wait for peers', error);
    }
  }

  #add({ rows }: Registered, row: RegistryRow): void {
    const { logger } = this.#options;
    const key = row.key.trim();
    const value = row.value.trim();
    const fields = { 'member-key': key, 'member-info': value };
    if (!value.includes('=')) logger.warn('invalid peer info returned from discovery service', fields);
    else if (rows.has(key)) logger.warn('found duplicate peer from discovery service', fields);
    else {
      rows.set(key, { key, value, createRevision: row.createRevision });
      logger.info('found peer from discovery service', fields);
    }
  }

  /** As etcd, retries for ever, because the discovery service may be started later. */
  async #persist<T>(step: string, attempt: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const result = await attempt();
        this.#failures = 0;
        return result;
      } catch (error) {
        if (error instanceof RegistryError) throw error;
        await this.#backOff(step, error);
      }
    }
  }

  async #backOff(step: string, error: unknown): Promise<void> {
    this.#failures += 1;
    const seconds = 2 ** Math.min(this.#failures, MAX_EXPONENT);
    this.#options.logger.warn('retry connecting to discovery service', {
      reason: step,
      backoff: `${seconds}s`,
      error: reasonOf(error),
    });
    await this.#options.pause(seconds * 1000);
  }
}

/** Sorts by create revision. With equal revisions the key decides, so that all members get the same order. */
function inOrder({ rows }: Registered): RegistryRow[] {
  return [...rows.values()].sort((a, b) => a.createRevision - b.createRevision || (a.key < b.key ? -1 : 1));
}

/** Throws if the cluster is full without this member. */
function checkRoom(registered: Registered, key: string): void {
  const position = inOrder(registered).findIndex((row) => row.key === key);
  const isLate = position < 0 ? registered.rows.size >= registered.size : position >= registered.size;
  if (isLate) throw new RegistryError(FULL);
}

function clusterOf(registered: Registered): string {
  const members = inOrder(registered).slice(0, registered.size);
  const text = members.map(({ value }) => value).join(',');
  try {
    parseInitialCluster(text);
  } catch (error) {
    if (!(error instanceof FlagValueError)) throw error;
    throw new RegistryError('discovery: invalid peer URL', { cause: error });
  }
  return text;
}
