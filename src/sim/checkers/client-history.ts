import type { CommittedChange, CommittedHistory } from './committed-history.ts';

/** A request on one key. Written values are unique, so a value identifies its write. */
export type KvRequest =
  | { readonly kind: 'put'; readonly key: string; readonly value: string }
  | { readonly kind: 'delete'; readonly key: string }
  | { readonly kind: 'get'; readonly key: string }
  /** Puts `value` if the key's modification revision is as given (0: it does not exist), and reads it otherwise. */
  | { readonly kind: 'txn'; readonly key: string; readonly ifMod: number; readonly value: string };

export interface KvResponse {
  readonly revision: number;
  /** The value of the key for a read; undefined for a put and for a transaction that wrote. */
  readonly found?: { readonly value: string; readonly mod: number } | undefined;
  /** Number of deleted keys, for a delete. */
  readonly deleted?: number;
  /** Whether the comparison was true, for a transaction. */
  readonly succeeded?: boolean;
}

export interface Operation {
  readonly client: number;
  readonly startedAt: number;
  /** Undefined if the outcome is unknown. */
  endedAt: number | undefined;
  readonly request: KvRequest;
  response: KvResponse | undefined;
  /** The server refused it, so it will never take effect. */
  refused: boolean;
}

/**
 * Checks whether a history is strictly serializable. The revisions in etcd's responses give the order of operations. Each
 * response must match the result of the requests up to its revision, and an operation that started after the end of
 * another one must not be before it. With the known order the check takes linear time.
 *
 * @returns a description of the violation, if any
 */
export function checkHistory(history: readonly Operation[], committed: CommittedHistory): string | undefined {
  for (const operation of history) {
    const fault = operation.refused ? refusedFault(operation, committed) : answerFault(operation, committed);
    if (fault !== undefined) return `${describe(operation)}: ${fault}`;
  }
  const writes = writesOf(history, committed);
  return typeof writes === 'string' ? writes : orderFault(history, writes);
}

function answerFault({ request, response }: Operation, committed: CommittedHistory): string | undefined {
  if (response === undefined) return undefined;
  const { revision } = response;
  const at = committed.at(revision).filter(({ key }) => key === request.key);
  switch (request.kind) {
    case 'put':
      return at[0]?.value === request.value ? undefined : `revision ${revision} holds ${show(at)}`;
    case 'delete': {
      const before = committed.before(request.key, response.deleted === 1 ? revision - 1 : revision);
      const existed = before?.value !== undefined;
      if (response.deleted === 1)
        return existed && at[0] !== undefined && at[0].value === undefined
          ? undefined
          : `it removed a key at ${revision}, which holds ${show(at)}`;
      return existed ? `it found nothing where ${show([before])} was` : undefined;
    }
    case 'get':
      return foundFault(response, committed.before(request.key, revision));
    case 'txn': {
      const before = committed.before(request.key, response.succeeded === true ? revision - 1 : revision);
      const mod = before?.value === undefined ? 0 : before.revision;
      if ((mod === request.ifMod) !== (response.succeeded === true))
        return `compared ${request.ifMod} with ${mod} and said ${response.succeeded}`;
      if (response.succeeded === true)
        return at[0]?.value === request.value ? undefined : `revision ${revision} holds ${show(at)}`;
      return foundFault(response, before);
    }
  }
}

function foundFault({ found }: KvResponse, before: CommittedChange | undefined): string | undefined {
  const value = before?.value;
  if (found?.value !== value) return `read ${found?.value ?? 'nothing'} where ${value ?? 'nothing'} was`;
  if (found !== undefined && found.mod !== before?.revision)
    return `read mod revision ${found.mod} where ${before?.revision} was`;
  return undefined;
}

function refusedFault({ request }: Operation, committed: CommittedHistory): string | undefined {
  if (request.kind !== 'put' && request.kind !== 'txn') return undefined;
  const written = [...committed.changes(request.key, 2, committed.lastRevision)];
  return written.some(({ value }) => value === request.value)
    ? 'it was refused, and yet took effect'
    : undefined;
}

/** Checks the real-time order. The position of an unanswered write is known from the committed history. */
function orderFault(history: readonly Operation[], writes: ReadonlyMap<string, number>): string | undefined {
  const marks = history
    .flatMap((operation) => {
      const { startedAt, endedAt, request, response } = operation;
      const written = 'value' in request ? writes.get(request.value) : undefined;
      const revision = response?.revision ?? written;
      if (revision === undefined) return [];
      const start = { at: startedAt, isEnd: false, operation, revision };
      if (endedAt !== undefined && response !== undefined)
        return [start, { at: endedAt, isEnd: true, operation, revision }];
      return written === undefined ? [] : [start];
    })
    .sort((a, b) => a.at - b.at || Number(a.isEnd) - Number(b.isEnd));
  let newest: { revision: number; operation: Operation } | undefined;
  for (const { isEnd, operation, revision } of marks) {
    if (isEnd) {
      if (newest === undefined || revision > newest.revision) newest = { revision, operation };
    } else if (newest !== undefined && revision < newest.revision) {
      return `${describe(operation)} comes before ${describe(newest.operation)}, which had ended`;
    }
  }
  return undefined;
}

/** Finds the write of each value. Each value must be written once, by its request. @returns the violation, if any */
function writesOf(history: readonly Operation[], committed: CommittedHistory): Map<string, number> | string {
  const asked = new Set<string>();
  for (const { request } of history) if ('value' in request) asked.add(request.value);
  const writes = new Map<string, number>();
  for (const { key, value, revision } of committed.changes('', 2, committed.lastRevision)) {
    if (value === undefined || !asked.has(value)) continue;
    const earlier = writes.get(value);
    if (earlier !== undefined) return `${key}=${value} took effect twice, at ${earlier} and ${revision}`;
    writes.set(value, revision);
  }
  return writes;
}

function show(changes: readonly CommittedChange[]): string {
  return changes.map(({ key, value }) => `${key}=${value ?? '(deleted)'}`).join(' ') || 'nothing';
}

function describe({ client, startedAt, endedAt, request, response }: Operation): string {
  const span = `${startedAt.toFixed(1)}..${endedAt?.toFixed(1) ?? '?'}`;
  return `client ${client} ${span} ${JSON.stringify(request)} -> ${JSON.stringify(response)}`;
}
