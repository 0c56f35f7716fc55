import type { Etcdctl } from './etcdctl.ts';

/** What `etcdctl endpoint status` prints about a member. */
export interface EndpointStatus {
  readonly Endpoint: string;
  readonly Status: {
    readonly header: { readonly member_id: number; readonly revision: number };
    readonly leader: number;
    readonly raftTerm: number;
    readonly raftIndex: number;
    readonly raftAppliedIndex: number;
    readonly isLearner?: boolean;
  };
}

export async function endpointStatuses(ctl: Etcdctl): Promise<EndpointStatus[]> {
  return JSON.parse(await ctl.ok(['endpoint', 'status', '-w', 'json'])) as EndpointStatus[];
}

/**
 * The endpoint of the member that leads, if one does. A former leader that was stopped for a while says that it leads
 * until it hears of a later term.
 */
export function leaderEndpoint(statuses: readonly EndpointStatus[]): string | undefined {
  return statuses
    .filter(({ Status }) => Status.leader === Status.header.member_id)
    .sort((a, b) => b.Status.raftTerm - a.Status.raftTerm)[0]?.Endpoint;
}
