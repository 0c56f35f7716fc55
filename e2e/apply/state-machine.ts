import { AlarmStore } from '../../src/apply/alarms.ts';
import { Applier } from '../../src/apply/applier.ts';
import { AppliedState } from '../../src/apply/applied-state.ts';
import { Quota } from '../../src/apply/quota.ts';
import type { ApplyResult } from '../../src/apply/results.ts';
import { AuthStore } from '../../src/auth/auth-store.ts';
import { Lessor } from '../../src/lease/lessor.ts';
import { Cluster } from '../../src/membership/cluster.ts';
import { MvccStore } from '../../src/mvcc/store.ts';
import { MemoryEngine } from '../../src/storage/memory-engine.ts';
import { InternalRaftRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { ConfState, Entry, EntryType } from '../../src/wire/gen/raftpb.ts';

/** Only the part of a member that applies entries, with an engine in memory and without log and network. */
export class StateMachine {
  readonly store: MvccStore;
  readonly lessor: Lessor;
  readonly auth: AuthStore;
  readonly #applier: Applier;
  #index = 0;
  readonly #results: ApplyResult[] = [];

  constructor() {
    const engine = new MemoryEngine();
    const clock = { now: () => performance.now(), wall: () => Date.now() };
    this.store = new MvccStore(engine);
    this.lessor = new Lessor({ engine, clock, minTtl: 2, checkpoints: false });
    this.auth = new AuthStore({ engine });
    const { store, lessor, auth } = this;
    const cluster = new Cluster({ engine, localId: 1n, id: 2n });
    const parts = { cluster, alarms: new AlarmStore(engine), applied: new AppliedState(engine) };
    const quota = new Quota(-1, () => 0);
    const applyToRaft = (): ConfState => ConfState.create();
    this.#applier = new Applier(
      { engine, store, lessor, auth, ...parts, quota, maxLearners: 1, applyToRaft },
      {
        isWanted: () => true,
        onResult: (_prefix, _sequence, result) => this.#results.push(result),
        onConfChange: () => undefined,
        onCompaction: () => undefined,
        onEmptyEntry: () => undefined,
        onEvents: () => undefined,
      },
    );
  }

  /** @param username empty for no user */
  apply(request: Partial<InternalRaftRequest>, username: string): ApplyResult {
    this.#index += 1;
    const header = {
      id: BigInt(this.#index),
      username,
      authRevision: username === '' ? 0 : this.auth.revision,
    };
    const data = InternalRaftRequest.encode(InternalRaftRequest.create({ header, ...request }));
    this.#applier.applyBatch([
      Entry.create({ type: EntryType.EntryNormal, term: 1, index: this.#index, data }),
    ]);
    const result = this.#results.pop();
    if (result === undefined) throw new Error('an applied request has a result');
    return result;
  }
}
