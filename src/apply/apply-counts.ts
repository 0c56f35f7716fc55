import type { InternalRaftRequest } from '../wire/gen/etcdserverpb.ts';

/** The kinds of requests in the raft log, by their field names. Metrics use the name with a capital letter. */
const KINDS = [
  'txn',
  'deleteRange',
  'put',
  'range',
  'compaction',
  'leaseGrant',
  'leaseRevoke',
  'leaseCheckpoint',
  'alarm',
  'clusterVersionSet',
  'clusterMemberAttrSet',
  'downgradeInfoSet',
  'downgradeVersionTest',
  'authenticate',
  'authEnable',
  'authDisable',
  'authStatus',
  'authUserAdd',
  'authUserDelete',
  'authUserChangePassword',
  'authUserGrantRole',
  'authUserGet',
  'authUserRevokeRole',
  'authRoleAdd',
  'authRoleGrantPermission',
  'authRoleGet',
  'authRoleRevokePermission',
  'authRoleDelete',
  'authUserList',
  'authRoleList',
] as const satisfies readonly (keyof InternalRaftRequest)[];

const NAMES: ReadonlyMap<string, string> = new Map(
  KINDS.map((kind) => [kind, kind.charAt(0).toUpperCase() + kind.slice(1)]),
);

/** The name of a request in metrics: `Put`, `LeaseGrant`. */
export function requestName(kind: string): string {
  return NAMES.get(kind) ?? 'unknown';
}

/** How many requests of each kind a batch applied and how many it refused. */
export class ApplyCounts {
  puts = 0;
  refusedPuts = 0;
  guarded = 0;
  readonly #others = new Map<string, { done: number; refused: number }>();

  countPut(isRefused: boolean): void {
    if (isRefused) this.refusedPuts += 1;
    else this.puts += 1;
  }

  count(request: InternalRaftRequest, isRefused: boolean): void {
    const kind = KINDS.find((each) => request[each] !== undefined) ?? '';
    let counts = this.#others.get(kind);
    if (counts === undefined) this.#others.set(kind, (counts = { done: 0, refused: 0 }));
    if (isRefused) counts.refused += 1;
    else counts.done += 1;
  }

  /** Calls back for each kind and result that occurred, then starts again from zero. */
  drain(each: (name: string, isRefused: boolean, count: number) => void): void {
    if (this.puts > 0) each('Put', false, this.puts);
    if (this.refusedPuts > 0) each('Put', true, this.refusedPuts);
    if (this.guarded > 0) each('Txn', false, this.guarded);
    this.puts = 0;
    this.refusedPuts = 0;
    this.guarded = 0;
    if (this.#others.size === 0) return;
    for (const [kind, { done, refused }] of this.#others) {
      if (done > 0) each(requestName(kind), false, done);
      if (refused > 0) each(requestName(kind), true, refused);
    }
    this.#others.clear();
  }
}
