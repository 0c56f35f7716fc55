/** Worker thread: turns the JSON text of one large request into its message. */
import { parentPort, workerData } from 'node:worker_threads';
import type { JsonTask } from '../api/gateway/large-json.ts';
import { defined } from '../lib/assert.ts';
import type { ServiceDescriptor } from '../wire/codec.ts';
import { decodeJson, JsonError } from '../wire/json.ts';
import * as services from '../wire/services.ts';
import { lowerPriority } from './thread/lower-priority.ts';

lowerPriority();
const { typeName, text } = workerData as JsonTask;
const port = defined(parentPort, 'the JSON worker runs as a worker thread');
const all: readonly ServiceDescriptor[] = Object.values(services);
const method = all
  .flatMap(({ methods }) => Object.values(methods))
  .find(({ request }) => request.typeName === typeName);
const codec = defined(method, 'a request has a method').request;
try {
  port.postMessage({ message: codec.encode(decodeJson(typeName, Buffer.from(text))) });
} catch (error) {
  if (!(error instanceof JsonError)) throw error;
  port.postMessage({ fault: error.message });
}
