import { StatusRequest, type StatusResponse } from '../../src/wire/gen/etcdserverpb.ts';
import { Maintenance } from '../../src/wire/services.ts';
import type { Member } from './member.ts';
import { withClient } from './rpc-client.ts';
import { eventually, type WaitOptions } from './wait.ts';

/** Waits until one of the members says that it is the leader. */
export function findLeader(members: readonly Member[], options?: WaitOptions): Promise<Member> {
  return eventually(
    'a leader',
    async () => {
      for (const member of members) {
        const answer = await withClient(member.endpoint, (client) =>
          client.unary(Maintenance.methods.status, StatusRequest.create()),
        );
        if (!('messages' in answer)) continue;
        const { leader, header } = answer.messages[0] as StatusResponse;
        if (leader !== 0n && leader === header?.memberId) return member;
      }
      return undefined;
    },
    options,
  );
}
