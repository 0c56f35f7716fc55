import type { Message } from '../wire/gen/raftpb.ts';
import type { PeerContext } from './context.ts';

/**
 * Why a message is refused: its sender was removed, or it is meant for another member. Undefined for one that is taken.
 * The response has status 500, as in etcd. On 403 the sender would stop itself, and a wrong address must not cause that.
 */
export function messageRefusal({ handler, local }: PeerContext, { from, to }: Message): string | undefined {
  if (handler.isIdRemoved(from)) return 'cannot process message from removed member';
  return to === local.localId ? undefined : 'cannot process message to mismatch member';
}
