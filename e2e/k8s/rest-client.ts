import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';

export interface RestResponse {
  status: number;
  text: string;
}

/** Plain HTTP requests over persistent connections. Objects are handled with the official client. */
export class RestClient {
  readonly #port: number;
  readonly #token: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 32, rejectUnauthorized: false });

  constructor(port: number, token: string) {
    this.#port = port;
    this.#token = token;
  }

  get(path: string): Promise<RestResponse> {
    return this.#send('GET', path);
  }

  post(path: string, body: unknown): Promise<RestResponse> {
    return this.#send('POST', path, body);
  }

  delete(path: string): Promise<RestResponse> {
    return this.#send('DELETE', path);
  }

  close(): void {
    this.#agent.destroy();
  }

  #send(method: string, path: string, body?: unknown): Promise<RestResponse> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          host: '127.0.0.1',
          port: this.#port,
          method,
          path,
          agent: this.#agent,
          headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' },
          timeout: 60_000,
        },
        (incoming) => {
          collect(incoming).then((text) => resolve({ status: incoming.statusCode ?? 0, text }), reject);
        },
      );
      outgoing.once('timeout', () => outgoing.destroy(new Error(`${method} ${path} took too long`)));
      outgoing.once('error', reject);
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

async function collect(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
