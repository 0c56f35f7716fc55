import { defined } from '../lib/assert.ts';
import type { Engine, WriteBatch } from '../ports/engine.ts';
import { AlarmMember, AlarmType } from '../wire/gen/etcdserverpb.ts';
import { EMPTY } from '../wire/reader.ts';

const PREFIX = Buffer.from('alarm/');
const AFTER = Buffer.from('alarm0');

/**
 * The raised alarms, by type and member. In the `meta` column each has a row with etcd's key: `alarm/` + the
 * AlarmMember's bytes. The value is empty.
 */
export class AlarmStore {
  readonly #engine: Engine;
  readonly #alarms = new Map<AlarmType, Map<bigint, AlarmMember>>();
  /** The alarms that the current batch changes, and whether each is raised. */
  readonly #dirty = new Map<AlarmMember, boolean>();

  constructor(engine: Engine) {
    this.#engine = engine;
    this.recover();
  }

  recover(): void {
    this.#alarms.clear();
    this.#dirty.clear();
    const rows = this.#engine.iterate('meta', { gte: PREFIX, lt: AFTER, keysOnly: true });
    try {
      for (;;) {
        const chunk = rows.next(256);
        if (chunk.length === 0) break;
        for (let i = 0; i < chunk.length; i += 2) {
          const key = defined(chunk[i], 'iterator rows come in pairs');
          this.#add(AlarmMember.decode(key.subarray(PREFIX.length)));
        }
      }
    } finally {
      rows.close();
    }
  }

  /** @returns the alarm, which may already have been raised */
  activate(memberId: bigint, alarm: AlarmType): AlarmMember {
    const known = this.#alarms.get(alarm)?.get(memberId);
    if (known !== undefined) return known;
    const raised = AlarmMember.create({ memberId, alarm });
    this.#add(raised);
    this.#dirty.set(raised, true);
    return raised;
  }

  /** @returns the alarm if it was raised, else undefined */
  deactivate(memberId: bigint, alarm: AlarmType): AlarmMember | undefined {
    const ofType = this.#alarms.get(alarm);
    const raised = ofType?.get(memberId);
    if (raised === undefined) return undefined;
    ofType?.delete(memberId);
    this.#dirty.set(raised, false);
    return raised;
  }

  /** Raised alarms of one type, or of all for NONE. */
  get(alarm: AlarmType): AlarmMember[] {
    if (alarm !== AlarmType.NONE) return [...(this.#alarms.get(alarm)?.values() ?? [])];
    return [...this.#alarms.values()].flatMap((ofType) => [...ofType.values()]);
  }

  isRaised(alarm: AlarmType): boolean {
    return (this.#alarms.get(alarm)?.size ?? 0) > 0;
  }

  stage(batch: WriteBatch): void {
    if (this.#dirty.size === 0) return;
    for (const [alarm, raised] of this.#dirty) {
      const row = Buffer.concat([PREFIX, AlarmMember.encode(alarm)]);
      if (raised) batch.put('meta', row, EMPTY);
      else batch.del('meta', row);
    }
    this.#dirty.clear();
  }

  #add(alarm: AlarmMember): void {
    let ofType = this.#alarms.get(alarm.alarm);
    if (ofType === undefined) {
      ofType = new Map();
      this.#alarms.set(alarm.alarm, ofType);
    }
    ofType.set(alarm.memberId, alarm);
  }
}
