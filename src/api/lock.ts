import { EtcdError } from '../wire/errors.ts';
import { RangeRequest } from '../wire/gen/etcdserverpb.ts';
import { type LockRequest, LockResponse } from '../wire/gen/v3lockpb.ts';
import { EMPTY } from '../wire/reader.ts';
import { Lock } from '../wire/services.ts';
import { answer, type Outcome, recipeError } from './concurrency/answer.ts';
import { CallerClient } from './concurrency/caller-client.ts';
import { createdAt, get, put, QueueKeys } from './concurrency/queue-keys.ts';
import type { ServiceContext } from './service-context.ts';

/** The Lock service. A mutex is released when its owner's lease ends. */
export function registerLock(context: ServiceContext): void {
  const { methods } = Lock;

  context.unary(methods.lock, (call, request) =>
    answer(context, call, lock(new CallerClient(context, call), request)),
  );

  context.unary(methods.unlock, (call, request) => {
    const unlocked = new CallerClient(context, call).delete(request.key);
    answer(
      context,
      call,
      unlocked.then((revision) => ({ revision })),
    );
  });
}

async function lock(client: CallerClient, request: LockRequest): Promise<Outcome> {
  const keys = new QueueKeys(request.name);
  const lease = await client.session(request.lease);
  const key = keys.of(lease);
  const own = RangeRequest.create({ key });
  const entered = await client.txn({
    compare: [createdAt(key, 0)],
    success: [put(key, EMPTY, lease), get(keys.owner())],
    failure: [get(own), get(keys.owner())],
  });
  const [existing, owners] = entered.found;
  const created = entered.succeeded ? entered.revision : (existing?.[0]?.createRevision ?? 0);
  const owner = owners?.[0];
  const body = LockResponse.encode({ header: undefined, key });
  if (owner === undefined || owner.createRevision === created) return { revision: entered.revision, body };
  try {
    await keys.whenGone(client, created - 1);
    const { kvs, revision } = await client.range(own);
    if (kvs.length === 0) throw EXPIRED;
    return { revision, body };
  } catch (error) {
    if (error !== EXPIRED) await leave(client, key);
    throw error;
  }
}

const EXPIRED = recipeError('mutex: session is expired');

/**
 * A caller that gives up deletes its key, so that the others need not wait until its lease ends. If the deletion
 * fails, the lease ends it.
 */
async function leave(client: CallerClient, key: Buffer): Promise<void> {
  try {
    await client.delete(key);
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error;
  }
}
