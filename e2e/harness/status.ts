import type { StatusResponse } from '../../src/wire/gen/etcdserverpb.ts';
import { Maintenance } from '../../src/wire/services.ts';
import type { Answer, RpcClient } from './rpc-client.ts';
import { eventually } from './wait.ts';

/** The message of an answer to a unary call. Throws if the call failed. */
export function messageOf(answer: Answer): unknown {
  if ('code' in answer) throw new Error(answer.details);
  return answer.messages[0];
}

export async function statusOf(client: RpcClient): Promise<StatusResponse> {
  return messageOf(await client.unary(Maintenance.methods.status, {})) as StatusResponse;
}

/**
 * Waits for the storage version of a new member, and returns its status. etcd reports 3.5.0 until it has looked at the
 * version of the cluster, seconds after its start.
 */
export function storageVersionKnown(client: RpcClient): Promise<StatusResponse> {
  return eventually('the storage version', async () => {
    const now = await statusOf(client);
    return now.storageVersion === '3.7.0' && now;
  });
}
