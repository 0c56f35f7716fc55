import { setTimeout as delay } from 'node:timers/promises';
import { AwsClient } from 'aws4fetch';
import { reasonOf } from '../lib/text.ts';
import { CredentialSource } from './s3-credentials.ts';
import { tagText } from './s3-xml.ts';

const ATTEMPTS = 5;
const FIRST_PAUSE_MS = 200;
/** Time until a response begins. The body of a request has one part. */
const RESPONSE_MS = 60_000;
const DEFAULT_REGION = 'us-east-1';

/** What an S3 URL says: `s3://bucket/prefix?endpoint=https://host&region=eu-1&style=path`. */
interface S3Address {
  readonly bucket: string;
  /** Empty, or with a slash at its end. */
  readonly prefix: string;
  readonly endpoint: string | undefined;
  readonly region: string;
  readonly isPathStyle: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws Error if the URL is invalid */
function parseAddress(url: string, environment: Environment): S3Address {
  const [, bucket = '', path = '', query = ''] = /^s3:\/\/([^/?]+)\/?([^?]*)(?:\?(.*))?$/.exec(url) ?? [];
  if (!/^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$/i.test(bucket))
    throw new Error(`${url} has no valid bucket: s3://bucket/prefix`);
  const settings = new URLSearchParams(query);
  for (const name of settings.keys())
    if (!['endpoint', 'region', 'style'].includes(name))
      throw new Error(`${url}: unknown setting ${name}; there are endpoint, region and style`);
  const endpoint =
    settings.get('endpoint') ?? environment['AWS_ENDPOINT_URL_S3'] ?? environment['AWS_ENDPOINT_URL'];
  if (endpoint !== undefined && !/^https?:\/\/[^/?#]+\/?$/.test(endpoint))
    throw new Error(`the endpoint ${endpoint} is no http or https URL without a path`);
  // Most servers with an endpoint of their own have no name for each bucket.
  const style = settings.get('style') ?? (endpoint === undefined ? 'virtual' : 'path');
  if (style !== 'path' && style !== 'virtual') throw new Error(`${url}: style must be path or virtual`);
  const prefix = decodeURIComponent(path).replace(/\/+$/, '');
  return {
    bucket,
    prefix: prefix === '' ? '' : `${prefix}/`,
    endpoint: endpoint?.replace(/\/$/, ''),
    region:
      settings.get('region') ??
      environment['AWS_REGION'] ??
      environment['AWS_DEFAULT_REGION'] ??
      DEFAULT_REGION,
    isPathStyle: style === 'path',
  };
}

export interface S3Request {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** Undefined for a request to the bucket. */
  readonly name?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

/** Signed requests to one bucket. Failures that may pass are tried again. */
export class S3Client {
  readonly prefix: string;
  readonly #base: string;
  readonly #region: string;
  readonly #credentials: CredentialSource;

  constructor(url: string, environment: Environment) {
    const { bucket, prefix, endpoint, region, isPathStyle } = parseAddress(url, environment);
    const host = new URL(endpoint ?? `https://s3.${region}.amazonaws.com`);
    this.prefix = prefix;
    this.#base = isPathStyle
      ? `${host.protocol}//${host.host}/${bucket}`
      : `${host.protocol}//${bucket}.${host.host}`;
    this.#region = region;
    this.#credentials = new CredentialSource(environment, region);
    // Node.js loads its HTTP client at the first use of one of its classes, which can take 100 ms. That must not happen
    // while the server has clients.
    Reflect.get(globalThis, 'Request');
  }

  /** @returns a response with status 2xx, or 404 @throws Error with the server's code and message */
  async send(request: S3Request): Promise<Response> {
    for (let attempt = 1; ; attempt += 1) {
      let failure: string;
      try {
        const response = await this.#once(request);
        if (response.ok || response.status === 404) return response;
        const xml = await response.text();
        failure = `${tagText(xml, 'Code') ?? `status ${response.status}`}: ${tagText(xml, 'Message') ?? ''}`;
        if (response.status < 500 && response.status !== 429) throw new RefusedError(failure);
      } catch (error) {
        if (error instanceof RefusedError) throw error;
        failure = reasonOf(error instanceof Error && error.cause !== undefined ? error.cause : error);
      }
      if (attempt === ATTEMPTS)
        throw new Error(
          `${request.method} ${request.name ?? 'of the bucket'} failed ${ATTEMPTS} times: ${failure}`,
        );
      await delay(FIRST_PAUSE_MS * 2 ** (attempt - 1));
    }
  }

  async #once({ method, name, query = {}, body }: S3Request): Promise<Response> {
    const client = new AwsClient({
      ...(await this.#credentials.get()),
      service: 's3',
      region: this.#region,
      retries: 0,
    });
    const path = name === undefined ? '' : (this.prefix + name).split('/').map(encodeURIComponent).join('/');
    const url = new URL(`${this.#base}/${path}`);
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
    const headers: Record<string, string> = {};
    if (body !== undefined) {
      // The server refuses bytes that were changed on the way. Another thread makes the hash.
      const digest = await crypto.subtle.digest('SHA-256', body);
      headers['x-amz-content-sha256'] = Buffer.from(digest).toString('hex');
    }
    const started = new AbortController();
    const timer = setTimeout(
      () => started.abort(new Error(`no response within ${RESPONSE_MS} ms`)),
      RESPONSE_MS,
    );
    try {
      const init = { method, headers, signal: started.signal, ...(body === undefined ? {} : { body }) };
      return await client.fetch(url.href, init);
    } finally {
      clearTimeout(timer);
    }
  }
}

class RefusedError extends Error {}
