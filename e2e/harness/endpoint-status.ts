import type { Etcdctl } from './etcdctl.ts';

/** What `etcdctl endpoint status` prints about a member. */
export interface EndpointStatus {
  readonly Endpoint: string;
  readonly Status: {
    readonly header: { readonly member_id: number; readonly revision: number };
    readonly leader: number;
    readonly raftIndex: number;
    readonly raftAppliedIndex: number;
    readonly isLearner?: boolean;
  };
}

export async function endpointStatuses(ctl: Etcdctl): Promise<EndpointStatus[]> {
  return JSON.parse(await ctl.ok(['endpoint', 'status', '-w', 'json'])) as EndpointStatus[];
}

/** The endpoint of the member that leads, if one does. */
export function leaderEndpoint(statuses: readonly EndpointStatus[]): string | undefined {
  return statuses.find(({ Status }) => Status.leader === Status.header.member_id)?.Endpoint;
}
