import { keyRange } from '../../mvcc/key-range.ts';
import {
  Compare,
  CompareCompareResult,
  CompareCompareTarget,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RangeRequestSortOrder,
  RangeRequestSortTarget,
  type RequestOp,
} from '../../wire/gen/etcdserverpb.ts';
import { EMPTY } from '../../wire/reader.ts';
import type { CallerClient } from './caller-client.ts';

const SEPARATOR = '/';
/** The byte after the separator. It ends the range of all keys with the prefix. */
const AFTER_SEPARATOR = '0';

/**
 * The keys of a lock or an election, in the layout of etcd's clients: `name/lease`, with the lease in hexadecimal.
 * The owner is the client whose key was created first. The others wait until all keys created before their own are
 * gone.
 */
export class QueueKeys {
  readonly #prefix: Buffer;
  readonly #end: Buffer;

  constructor(name: Buffer) {
    this.#prefix = Buffer.concat([name, Buffer.from(SEPARATOR)]);
    this.#end = Buffer.concat([name, Buffer.from(AFTER_SEPARATOR)]);
  }

  get all(): ReturnType<typeof keyRange> {
    return keyRange(this.#prefix, this.#end);
  }

  of(lease: bigint): Buffer {
    return Buffer.concat([this.#prefix, Buffer.from(lease.toString(16))]);
  }

  /** Reads the owner's key. */
  owner(): RangeRequest {
    return this.#created(RangeRequestSortOrder.ASCEND, 0);
  }

  /**
   * Waits until no key created at or before the revision is left. Rejects with CallEndedError if the call ends first.
   */
  async whenGone(client: CallerClient, maxCreateRevision: number): Promise<void> {
    for (;;) {
      const newest = this.#created(RangeRequestSortOrder.DESCEND, maxCreateRevision);
      const { kvs, revision } = await client.range(newest);
      const [last] = kvs;
      if (last === undefined) return;
      const range = keyRange(last.key, EMPTY);
      await client.withEvents({ range, startRevision: revision + 1, noPut: true }, (events) => events.next());
    }
  }

  #created(sortOrder: RangeRequestSortOrder, maxCreateRevision: number): RangeRequest {
    return RangeRequest.create({
      key: this.#prefix,
      rangeEnd: this.#end,
      limit: 1,
      sortOrder,
      maxCreateRevision,
      sortTarget: RangeRequestSortTarget.CREATE,
    });
  }
}

/** Compares the create revision of the key; 0 means that the key does not exist. */
export function createdAt(key: Buffer, revision: number): Compare {
  return Compare.create({
    key,
    target: CompareCompareTarget.CREATE,
    result: CompareCompareResult.EQUAL,
    targetUnion: { case: 'createRevision', value: revision },
  });
}

export function put(key: Buffer, value: Buffer, lease: bigint): RequestOp {
  return { request: { case: 'requestPut', value: PutRequest.create({ key, value, lease }) } };
}

export function get(request: RangeRequest): RequestOp {
  return { request: { case: 'requestRange', value: request } };
}

export function remove(key: Buffer): RequestOp {
  return { request: { case: 'requestDeleteRange', value: DeleteRangeRequest.create({ key }) } };
}
