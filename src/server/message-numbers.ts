import type { Message } from '../raft/types.ts';

/** Terms and indexes of a real cluster are far below. It leaves room for counting on with exact integers. */
const LIMIT = 2 ** 52;

const fits = (value: number): boolean => Number.isSafeInteger(value) && value >= 0 && value < LIMIT;

/** Whether raft can calculate with all terms and indexes of a message of another member. */
export function hasUsableNumbers(message: Message): boolean {
  const { term, logTerm, index, commit, rejectHint, entries, snapshot } = message;
  return (
    [term, logTerm, index, commit, rejectHint].every(fits) &&
    entries.every((entry) => fits(entry.term) && fits(entry.index)) &&
    (snapshot?.metadata === undefined || (fits(snapshot.metadata.term) && fits(snapshot.metadata.index)))
  );
}
