import type { CommittedHistory } from './committed-history.ts';

/** An event as a watcher got it. */
export interface SeenEvent {
  readonly revision: number;
  readonly key: string;
  /** Undefined: a delete. */
  readonly value: string | undefined;
}

export interface Watching {
  /** Keys beginning with it. */
  readonly prefix: string;
  readonly startRevision: number;
  readonly seen: SeenEvent[];
  /** What the server said of its progress, if it was asked. */
  readonly marks?: readonly ProgressMark[];
}

/** The server's word that everything up to a revision has been sent, and how many events had come by then. */
export interface ProgressMark {
  readonly revision: number;
  readonly seen: number;
}

/**
 * Whether a watcher has seen each change of its keys from its start on, once and in order. What came after the last
 * event it got may still be on its way.
 *
 * @returns what is wrong
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

/** Whether a watcher has seen the last change of its keys; to be asked a while after the last write. */
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
