import type { IncomingMessage } from 'node:http';
import { Refusal } from './compatibility.ts';
import { readBody } from './request.ts';

const MAX_ANSWER_BYTES = 64 * 1024;

/** Another member reports that this one was removed from the cluster. */
export class RemovedError extends Error {
  override readonly name = 'RemovedError';
}

/** Resolves if a posted message was accepted. Rejects with the reason if not. */
export async function checkAnswer(response: IncomingMessage): Promise<void> {
  const text = (await readBody(response, MAX_ANSWER_BYTES)).toString().trimEnd();
  switch (response.statusCode) {
    case 204:
      return;
    case 403:
      throw new RemovedError('this member has been removed from the cluster');
    case 412:
      if (text === Refusal.Version || text === Refusal.Cluster) throw new Error(text);
      throw new Error(`the peer responded: ${text}`);
    default:
      throw new Error(`unexpected status ${response.statusCode ?? 0}: ${text}`);
  }
}
