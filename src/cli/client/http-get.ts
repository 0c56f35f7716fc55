import { X509Certificate } from 'node:crypto';
import { request as requestPlain, type IncomingMessage } from 'node:http';
import { request as requestSecure } from 'node:https';
import { isForHost } from '../../tls/host-names.ts';
import type { ClientSettings } from './client-flags.ts';

export interface HttpAnswer {
  readonly text: string;
  /** The clock of the server in milliseconds since 1970, cut to whole seconds; undefined if the answer has no date. */
  readonly serverMs: number | undefined;
}

/** More than any server sends. */
const MAX_BYTES = 64 * 2 ** 20;

/**
 * Reads a page of an endpoint. The pages of HTTP are at the client URLs, unless `--listen-client-http-urls` is set, and
 * some are at the metrics URLs.
 *
 * @throws Error if it does not answer in time, or not with status 200
 */
export async function httpGet(endpoint: string, path: string, settings: ClientSettings): Promise<HttpAnswer> {
  const url = urlOf(endpoint, path, settings);
  const response = await get(url, settings);
  const { statusCode, headers } = response;
  if (statusCode !== 200) {
    response.destroy();
    throw new Error(`${url.href} answers with status ${statusCode ?? 0}`);
  }
  const serverMs = headers.date === undefined ? undefined : Date.parse(headers.date);
  return { text: await textOf(response), serverMs };
}

function urlOf(endpoint: string, path: string, { tls }: ClientSettings): URL {
  if (/^unixs?:/.test(endpoint)) throw new Error(`HTTP over a socket is not supported: ${endpoint}`);
  const text = /^https?:\/\//.test(endpoint) ? endpoint : `${tls.isWanted ? 'https' : 'http'}://${endpoint}`;
  try {
    return new URL(path, text);
  } catch {
    throw new Error(`not an endpoint: ${endpoint}`);
  }
}

function get(url: URL, { tls, timeoutMs }: ClientSettings): Promise<IncomingMessage> {
  const { authorities, certificate, key, skipsVerification } = tls;
  const common = { agent: false, timeout: timeoutMs };
  return new Promise((resolve, reject) => {
    const request =
      url.protocol === 'https:'
        ? requestSecure(url, {
            ...common,
            ...(authorities === undefined ? {} : { ca: authorities }),
            ...(certificate === undefined || key === undefined ? {} : { cert: certificate, key }),
            rejectUnauthorized: !skipsVerification,
            checkServerIdentity: (host, { raw }) =>
              isForHost(new X509Certificate(raw), host)
                ? undefined
                : new Error(`the certificate is not for ${host}`),
          })
        : requestPlain(url, common);
    request.once('timeout', () => request.destroy(new Error('no answer in time')));
    request.once('error', (error) => reject(new Error(`no connection: ${error.message}`, { cause: error })));
    request.once('response', resolve);
    request.end();
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) throw new Error('the answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
