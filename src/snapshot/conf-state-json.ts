import { ConfState } from '../wire/gen/raftpb.ts';

/** The raft configuration as in etcd's database: JSON with IDs as plain 64-bit numbers. */
export function confStateToJson(confState: ConfState): Buffer {
  const lists: readonly (readonly [string, readonly bigint[]])[] = [
    ['voters', confState.voters],
    ['learners', confState.learners],
    ['voters_outgoing', confState.votersOutgoing],
    ['learners_next', confState.learnersNext],
  ];
  const fields = lists
    .filter(([, ids]) => ids.length > 0)
    .map(([name, ids]) => `"${name}":[${ids.join(',')}]`);
  fields.push(`"auto_leave":${confState.autoLeave}`);
  return Buffer.from(`{${fields.join(',')}}`);
}

/** @throws Error if the bytes are not a configuration */
export function confStateFromJson(json: Buffer): ConfState {
  // The document has no strings except its field names, so every sequence of digits is a number.
  const parsed: unknown = JSON.parse(json.toString().replace(/\d+/g, '"$&"'));
  if (typeof parsed !== 'object' || parsed === null)
    throw new Error('the raft configuration is no JSON object');
  const fields = parsed as Readonly<Record<string, unknown>>;
  return ConfState.create({
    voters: toIds(fields['voters']),
    learners: toIds(fields['learners']),
    votersOutgoing: toIds(fields['voters_outgoing']),
    learnersNext: toIds(fields['learners_next']),
    autoLeave: fields['auto_leave'] === true,
  });
}

function toIds(list: unknown): bigint[] {
  if (list === undefined || list === null) return [];
  if (!Array.isArray(list))
    throw new Error('the raft configuration has something else in place of a list of ids');
  return list.map((id: unknown) => {
    if (typeof id !== 'string' || !/^\d{1,20}$/.test(id))
      throw new Error('the raft configuration has an id that is no number');
    return BigInt(id);
  });
}
