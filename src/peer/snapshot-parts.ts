import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { SnapshotPart } from '../ports/peer-transport.ts';
import { header, introductionHeaders } from './compatibility.ts';
import type { PeerContext } from './context.ts';
import { openRequest } from './request.ts';
import type { RequestPlace } from './request-place.ts';

/*
 * etcd's members send a snapshot from the start when its transfer is interrupted. Keystead's resume it: the sender names
 * the file, asks with a GET of the same path how much of it has arrived, and posts the rest with a Content-Range.
 * Members of etcd ignore the name and refuse the GET.
 */

/** The unique name of the file. */
export const SNAPSHOT_ID_HEADER = 'x-keystead-snapshot';

/** In the response to a GET: bytes of the file that were received. */
export const SNAPSHOT_KEPT_HEADER = 'x-keystead-snapshot-kept';

/** Timeout for asking a member how much it has received, in milliseconds. */
const ASK_TIMEOUT_MS = 10_000;

const CONTENT_RANGE = /^bytes (\d{1,15})-\d{1,15}\/\d{1,15}$/;

/** A file of which the bytes from `offset` on are sent. */
export interface FilePart {
  readonly id: string | undefined;
  readonly offset: number;
  readonly totalBytes: number;
}

export function partHeaders({ id, offset, totalBytes }: FilePart): Record<string, string> {
  if (id === undefined) return {};
  if (offset === 0) return { [SNAPSHOT_ID_HEADER]: id };
  return {
    [SNAPSHOT_ID_HEADER]: id,
    'Content-Range': `bytes ${offset}-${Math.max(offset, totalBytes - 1)}/${totalBytes}`,
  };
}

/** @returns the part of a POST; undefined if its headers are invalid */
export function partOf(headers: IncomingHttpHeaders): SnapshotPart | undefined {
  const id = header(headers, SNAPSHOT_ID_HEADER);
  const range = header(headers, 'content-range');
  if (range === undefined) return { id, offset: 0 };
  const offset = CONTENT_RANGE.exec(range)?.[1];
  return id === undefined || offset === undefined ? undefined : { id, offset: Number(offset) };
}

/**
 * Asks a member how much of a file it has received; 0 if it does not report it. Rejects if it is unreachable.
 *
 * @param asked.requests contains the request while it runs
 */
export function askForPart(
  context: PeerContext,
  place: RequestPlace,
  { id, requests }: { readonly id: string; readonly requests: Set<ClientRequest> },
): Promise<number> {
  const request = openRequest(place, {
    method: 'GET',
    headers: { ...introductionHeaders(context.local), [SNAPSHOT_ID_HEADER]: id },
    tls: context.tls,
    agents: undefined,
    dialTimeoutMs: context.dialTimeoutMs,
    localAddress: context.localAddress,
    idleTimeoutMs: ASK_TIMEOUT_MS,
  });
  requests.add(request);
  return new Promise((resolve, reject) => {
    request.on('error', reject);
    request.on('close', () => {
      requests.delete(request);
      reject(new Error('the connection has ended'));
    });
    request.on('response', (response) => {
      response.resume();
      const kept = Number(response.statusCode === 204 ? header(response.headers, SNAPSHOT_KEPT_HEADER) : 0);
      resolve(Number.isSafeInteger(kept) && kept > 0 ? kept : 0);
    });
    request.end();
  });
}

/** Running incoming transfers of files with a name. */
export class IncomingParts {
  readonly #byId = new Map<string, { readonly request: IncomingMessage; readonly ended: Promise<unknown> }>();

  /** Records a transfer until it has ended. */
  track(id: string | undefined, request: IncomingMessage, ended: Promise<unknown>): void {
    if (id === undefined) return;
    const transfer = { request, ended };
    this.#byId.set(id, transfer);
    const forget = (): void => {
      if (this.#byId.get(id) === transfer) this.#byId.delete(id);
    };
    ended.then(forget, forget);
  }

  /** A sender that asks for a part has stopped its earlier transfer. If that transfer still runs here, it is ended. */
  async end(id: string): Promise<void> {
    const transfer = this.#byId.get(id);
    if (transfer === undefined) return;
    transfer.request.destroy(new Error('the sender starts a new transfer'));
    await transfer.ended.catch(() => undefined);
  }
}
