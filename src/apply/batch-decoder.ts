import type { AuthStore } from '../auth/auth-store.ts';
import { assert, defined } from '../lib/assert.ts';
import type { Lessor } from '../lease/lessor.ts';
import { keyString } from '../mvcc/key-range.ts';
import type { MvccStore } from '../mvcc/store.ts';
import { InternalRaftRequest } from '../wire/gen/etcdserverpb.ts';
import { ConfChange, type Entry, EntryType } from '../wire/gen/raftpb.ts';
import { EMPTY } from '../wire/reader.ts';
import { EntryReader } from './entry-reader.ts';
import { GuardedEntry } from './guarded-entry.ts';
import { mayBeLarge, mayPutBeLarge } from './large-entry.ts';
import { isLargeRequest, LargeRequest } from './large-request.ts';
import { PutEntry } from './put-entry.ts';
import { touchedKeys } from './touched-keys.ts';

/** A batch of several entries has at most so many keys: it is applied in one turn of the event loop. */
const KEYS_PER_BATCH = 256;

/** A decoded entry of the current batch; undefined for an empty one. */
export type Decoded = PutEntry | GuardedEntry | LargeRequest | InternalRaftRequest | ConfChange | undefined;

interface DecoderContext {
  readonly auth: AuthStore;
  readonly lessor: Lessor;
  readonly store: Pick<MvccStore, 'prefetch'>;
}

/** Decodes the entries of a batch, and reads the index entries of their keys from the engine at once. */
export class BatchDecoder {
  /** The entries of the batch, from the first one on. */
  readonly decoded: Decoded[] = [];
  readonly #options: DecoderContext;
  readonly #puts: PutEntry[] = [];
  readonly #guarded: GuardedEntry[] = [];
  readonly #prefetch: Buffer[] = [];
  readonly #prefetchNames: string[] = [];

  constructor(options: DecoderContext) {
    this.#options = options;
  }

  /**
   * Decodes up to the first large entry or the limit of keys; the next batch starts there.
   *
   * @returns 0 if the first entry is large
   */
  decode(entries: readonly Entry[], first: number): number {
    let puts = 0;
    let guarded = 0;
    let count = 0;
    for (let at = first; at < entries.length; at++) {
      const { type, data } = defined(entries[at], 'entries have no holes');
      const place = at - first;
      if (type === EntryType.EntryConfChange) {
        this.decoded[place] = ConfChange.decode(data ?? EMPTY);
        count += 1;
        continue;
      }
      assert(type === EntryType.EntryNormal, 'a committed entry is a request or a configuration change');
      if (data === undefined || data.length === 0) {
        this.decoded[place] = undefined;
        count += 1;
        continue;
      }
      const put = (this.#puts[puts] ??= new PutEntry());
      const txn = (this.#guarded[guarded] ??= new GuardedEntry());
      if (put.read(data)) {
        const isLarge = mayPutBeLarge(this.#options, put);
        if (isLarge && place > 0) break;
        puts++;
        this.decoded[place] = put;
        if (isLarge) return 0;
        this.#willLookUp(put);
      } else if (!this.#options.auth.isEnabled && txn.read(data)) {
        guarded++;
        this.decoded[place] = txn;
        this.#willLookUp(txn);
      } else if (isLargeRequest(data)) {
        if (place > 0) break;
        this.decoded[place] = new LargeRequest(data);
        return 0;
      } else {
        const request = InternalRaftRequest.decode(data);
        const isLarge = mayBeLarge(this.#options, request);
        if (isLarge && place > 0) break;
        this.decoded[place] = request;
        if (isLarge) return 0;
        const keysBefore = this.#prefetch.length;
        touchedKeys(request, this.#prefetch);
        if (place > 0 && this.#prefetch.length > KEYS_PER_BATCH) {
          this.#prefetch.length = keysBefore;
          this.decoded.length = place;
          break;
        }
        for (let key = keysBefore; key < this.#prefetch.length; key++)
          this.#prefetchNames.push(keyString(this.#prefetch[key] ?? EMPTY));
      }
      count += 1;
      if (this.#prefetch.length >= KEYS_PER_BATCH) break;
    }
    this.#options.store.prefetch(this.#prefetch, this.#prefetchNames);
    this.#prefetch.length = this.#prefetchNames.length = 0;
    return count;
  }

  #willLookUp(entry: PutEntry | GuardedEntry): void {
    entry.name = keyString(entry.key);
    this.#prefetch.push(entry.key);
    this.#prefetchNames.push(entry.name);
  }

  /** The batch is applied: releases the memory of its entries. */
  release(): void {
    for (const decoded of this.decoded) if (decoded instanceof EntryReader) decoded.release();
    this.decoded.length = 0;
  }
}
