import type { CommittedChange, CommittedHistory } from './committed-history.ts';

/** A request on one key. Values written are unique, so that a value names the write it came from. */
export type KvRequest =
  | { readonly kind: 'put'; readonly key: string; readonly value: string }
  | { readonly kind: 'delete'; readonly key: string }
  | { readonly kind: 'get'; readonly key: string }
  /** Puts `value` if the key's modification revision is as given (0: it does not exist), and reads it otherwise. */
  | { readonly kind: 'txn'; readonly key: string; readonly ifMod: number; readonly value: string };

export interface KvResponse {
  readonly revision: number;
  /** Of a put or of a transaction that wrote: nothing. Of a read: what the key held. */
  readonly found?: { readonly value: string; readonly mod: number } | undefined;
  /** Of a delete: keys removed. */
  readonly deleted?: number;
  /** Of a transaction. */
  readonly succeeded?: boolean;
}

export interface Operation {
  readonly client: number;
  readonly startedAt: number;
  /** Undefined: nobody knows whether it took effect. */
  endedAt: number | undefined;
  readonly request: KvRequest;
  response: KvResponse | undefined;
  /** The server said that it will never take effect. */
  refused: boolean;
}

/**
 * Whether a history is strictly serializable. The revisions that etcd answers with name the one order in question:
 * each response must say what the requests up to its revision lead to, and an operation that began after another
 * had ended must not come before it. That takes time linear in the history, where a search for an order would not.
 *
 * @returns what is wrong
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

/** What ended before something began is seen by it. Of a write that nobody answered the history knows the place. */
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

/** Where each value was written. It was by one request, once. @returns the fault, if there is one */
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
