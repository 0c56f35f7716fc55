import { InternalRaftRequest } from '../wire/gen/etcdserverpb.ts';
import { ConfChange, type Entry, EntryType } from '../wire/gen/raftpb.ts';

/**
 * Whether every member can decode the entry. A proposal of another member is checked before it enters the log: applying
 * an entry that cannot be decoded ends the process, again at each start.
 */
export function isReadableProposal({ type, data }: Pick<Entry, 'type' | 'data'>): boolean {
  if (data === undefined || data.length === 0) return type === EntryType.EntryNormal;
  try {
    if (type === EntryType.EntryNormal) InternalRaftRequest.decode(data);
    else if (type === EntryType.EntryConfChange) ConfChange.decode(data);
    else return false;
    return true;
  } catch {
    return false;
  }
}
