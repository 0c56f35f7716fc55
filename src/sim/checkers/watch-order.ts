import type { CommittedHistory } from './committed-history.ts';

/** An event received by a watcher. */
export interface SeenEvent {
  readonly revision: number;
  readonly key: string;
  /** Undefined for a delete. */
  readonly value: string | undefined;
}

export interface Watching {
  /** Prefix of the watched keys. */
  readonly prefix: string;
  readonly startRevision: number;
  readonly seen: SeenEvent[];
  /** Progress notifications of the server. */
  readonly marks?: readonly ProgressMark[];
}

/** A progress notification up to a revision, and the number of events received before it. */
export interface ProgressMark {
  readonly revision: number;
  readonly seen: number;
}

/**
 * Checks whether a watcher has received each change of its keys from its start on, once and in order. Changes after its
 * last event may still be in transit.
 *
 * @returns the violation, if any
 */
export function checkWatch(watching: Watching, committed: CommittedHistory): string | undefined {
  const { prefix, startRevision, seen } = watching;
  const last = seen.at(-1)?.revision ?? 0;
  const expected = [...committed.changes(prefix, startRevision, last)];
  for (const [at, event] of seen.entries()) {
    const change = expected[at];
    if (change === undefined) return `got ${show(event)}, which was never committed`;
    if (change.revision !== event.revision || change.key !== event.key || change.value !== event.value)
      return `got ${show(event)} where ${show(change)} was next`;
  }
  const missing = expected[seen.length];
  if (missing !== undefined) return `did not get ${show(missing)}`;
  return markFault(watching, committed);
}

/** Checks, some time after the last write, whether a watcher has received the last change of its keys. */
export function checkAllSeen(
  { prefix, startRevision, seen }: Watching,
  committed: CommittedHistory,
): string | undefined {
  const last = seen.at(-1)?.revision ?? 0;
  const [missing] = committed.changes(prefix, Math.max(startRevision, last + 1), committed.lastRevision);
  return missing === undefined
    ? undefined
    : `a watcher of ${prefix} did not get ${show(missing)} in quiet times`;
}

function markFault(
  { prefix, startRevision, marks }: Watching,
  committed: CommittedHistory,
): string | undefined {
  for (const { revision, seen } of marks ?? []) {
    const due = committed.count(prefix, startRevision, revision);
    if (seen < due) return `was told of progress to ${revision} when it had got ${seen} of ${due} events`;
  }
  return undefined;
}

function show({ revision, key, value }: SeenEvent): string {
  return `${key}=${value ?? '(deleted)'} at ${revision}`;
}
