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
  return orderFault(history) ?? duplicateFault(history, committed);
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

/** What ended before something began is seen by it. */
function orderFault(history: readonly Operation[]): string | undefined {
  const marks = history
    .flatMap((operation) => {
      const { startedAt, endedAt, response } = operation;
      if (endedAt === undefined || response === undefined) return [];
      return [
        { at: startedAt, isEnd: false, operation, revision: response.revision },
        { at: endedAt, isEnd: true, operation, revision: response.revision },
      ];
    })
    .sort((a, b) => a.at - b.at || Number(a.isEnd) - Number(b.isEnd));
  let newest: { revision: number; operation: Operation } | undefined;
  const floors = new Map<Operation, typeof newest>();
  for (const { isEnd, operation, revision } of marks) {
    if (!isEnd) {
      floors.set(operation, newest);
      continue;
    }
    const floor = floors.get(operation);
    if (floor !== undefined && revision < floor.revision)
      return `${describe(operation)} comes before ${describe(floor.operation)}, which had ended`;
    if (newest === undefined || revision > newest.revision) newest = { revision, operation };
  }
  return undefined;
}

/** Each value was written by one request, once. */
function duplicateFault(history: readonly Operation[], committed: CommittedHistory): string | undefined {
  const asked = new Set<string>();
  for (const { request } of history)
    if (request.kind === 'put' || request.kind === 'txn') asked.add(request.value);
  const seen = new Map<string, number>();
  for (let revision = 2; revision <= committed.lastRevision; revision += 1) {
    for (const { key, value } of committed.at(revision)) {
      if (value === undefined || !asked.has(value)) continue;
      const earlier = seen.get(value);
      if (earlier !== undefined) return `${key}=${value} took effect twice, at ${earlier} and ${revision}`;
      seen.set(value, revision);
    }
  }
  return undefined;
}

function show(changes: readonly CommittedChange[]): string {
  return changes.map(({ key, value }) => `${key}=${value ?? '(deleted)'}`).join(' ') || 'nothing';
}

function describe({ client, startedAt, endedAt, request, response }: Operation): string {
  const span = `${startedAt.toFixed(1)}..${endedAt?.toFixed(1) ?? '?'}`;
  return `client ${client} ${span} ${JSON.stringify(request)} -> ${JSON.stringify(response)}`;
}
