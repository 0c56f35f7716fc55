import { request as httpRequest } from 'node:http';

/** A request as it goes over the wire, names and escapes of its path untouched. */
export interface HttpAsk {
  readonly path: string;
  readonly method?: string;
  readonly body?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  /** In chunks of unknown total instead of with a length. */
  readonly chunked?: boolean;
}

export interface HttpAnswer {
  readonly status: number;
  /** Of note to clients; undefined where absent. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

/** What clients of the gateway look at; dates and the like are each server's own. */
const HEADERS_OF_NOTE = [
  ...['content-type', 'transfer-encoding', 'allow', 'location', 'www-authenticate', 'trailer', 'connection'],
  ...['grpc-metadata-content-type', 'x-content-type-options', 'content-length', 'upgrade'],
  ...['access-control-allow-origin', 'access-control-allow-methods', 'access-control-allow-headers'],
];

/** Sends a request on a connection of its own and reads all of the answer. */
export function exchange(port: number, ask: HttpAsk): Promise<HttpAnswer> {
  const { path, method = 'POST', body = '', chunked = false } = ask;
  const length = chunked ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  const headers = { connection: 'keep-alive', ...length, ...ask.headers };
  return new Promise((resolve, reject) => {
    const request = httpRequest({ agent: false, host: '127.0.0.1', port, path, method, headers });
    request.setTimeout(20_000, () => request.destroy(new Error(`no answer to ${method} ${path}`)));
    request.once('error', reject);
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => {
        request.destroy();
        const noted = HEADERS_OF_NOTE.flatMap((name) => {
          const value = response.headers[name];
          return value === undefined ? [] : [[name, String(value)] as const];
        });
        resolve({
          status: response.statusCode ?? 0,
          headers: Object.fromEntries(noted),
          text: Buffer.concat(chunks).toString(),
        });
      });
    });
    if (chunked) {
      request.write(body);
      request.end();
    } else request.end(body);
  });
}
