import { type BackupPlace, MissingObjectError, type StoredObject } from './place.ts';
import { S3Client } from './s3-client.ts';
import { elements, escapeXml, tagText } from './s3-xml.ts';

/** The smallest part that S3 allows. All but the last must have the same size for some servers. */
const PART_BYTES = 5 << 20;
const MAX_PARTS = 10_000;
/** A read fails if no byte arrives for this time. */
const STALL_MS = 60_000;

/** Backups in a bucket of S3 or of a server that is compatible with it. */
export class S3Place implements BackupPlace {
  readonly url: string;
  readonly #client: S3Client;
  readonly #environment: Readonly<Record<string, string | undefined>>;

  /** @throws Error if the URL is invalid */
  constructor(url: string, environment: Readonly<Record<string, string | undefined>>) {
    this.url = url;
    this.#client = new S3Client(url, environment);
    this.#environment = environment;
  }

  async list(): Promise<StoredObject[]> {
    const { prefix } = this.#client;
    const found: StoredObject[] = [];
    let token: string | undefined;
    do {
      const response = await this.#client.send({
        method: 'GET',
        query: {
          'list-type': '2',
          prefix,
          delimiter: '/',
          ...(token === undefined ? {} : { 'continuation-token': token }),
        },
      });
      const xml = await response.text();
      if (!response.ok) throw new Error(`the bucket of ${this.url} does not exist`);
      for (const object of elements(xml, 'Contents')) {
        const key = tagText(object, 'Key') ?? '';
        const name = key.slice(prefix.length);
        if (!key.startsWith(prefix) || name.includes('/')) continue;
        const modifiedMs = Date.parse(tagText(object, 'LastModified') ?? '');
        found.push({ name, bytes: Number(tagText(object, 'Size')), modifiedMs });
      }
      token = tagText(xml, 'IsTruncated') === 'true' ? tagText(xml, 'NextContinuationToken') : undefined;
    } while (token !== undefined);
    return found;
  }

  /** An object appears only when it is complete. */
  async put(name: string, bytes: AsyncIterable<Buffer>): Promise<void> {
    const parts = inParts(bytes)[Symbol.asyncIterator]();
    const first = await parts.next();
    const body: Buffer = first.done === true ? Buffer.alloc(0) : first.value;
    if (body.length < PART_BYTES) {
      must(await this.#client.send({ method: 'PUT', name, body }), name);
      return;
    }
    await this.#putInParts(name, body, { [Symbol.asyncIterator]: () => parts });
  }

  async #putInParts(name: string, first: Buffer, others: AsyncIterable<Buffer>): Promise<void> {
    const begun = must(await this.#client.send({ method: 'POST', name, query: { uploads: '' } }), name);
    const uploadId = tagText(await begun.text(), 'UploadId');
    if (uploadId === undefined) throw new Error(`the upload of ${name} has no ID`);
    try {
      const tags: string[] = [];
      const putPart = async (body: Buffer): Promise<void> => {
        if (tags.length === MAX_PARTS)
          throw new Error(`${name} is larger than ${MAX_PARTS * PART_BYTES} bytes`);
        const query = { partNumber: String(tags.length + 1), uploadId };
        const { headers } = must(await this.#client.send({ method: 'PUT', name, query, body }), name);
        tags.push(headers.get('etag') ?? '');
      };
      await putPart(first);
      for await (const part of others) await putPart(part);
      const list = tags.map(
        (tag, n) => `<Part><PartNumber>${n + 1}</PartNumber><ETag>${escapeXml(tag)}</ETag></Part>`,
      );
      const body = Buffer.from(`<CompleteMultipartUpload>${list.join('')}</CompleteMultipartUpload>`);
      const done = must(await this.#client.send({ method: 'POST', name, query: { uploadId }, body }), name);
      // An upload can fail after the status was sent.
      const xml = await done.text();
      if (xml.includes('<Error>'))
        throw new Error(
          `the upload of ${name} failed: ${tagText(xml, 'Message') ?? tagText(xml, 'Code') ?? ''}`,
        );
    } catch (error) {
      await this.#client.send({ method: 'DELETE', name, query: { uploadId } }).catch(() => undefined);
      throw error;
    }
  }

  async *get(name: string): AsyncGenerator<Buffer, void> {
    const response = must(await this.#client.send({ method: 'GET', name }), name);
    if (response.body === null) return;
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    try {
      for (;;) {
        const { done, value } = await withinTime(reader.read(), name);
        if (done) return;
        yield Buffer.from(value.buffer, value.byteOffset, value.length);
      }
    } finally {
      await reader.cancel().catch(() => undefined);
    }
  }

  async remove(name: string): Promise<void> {
    await this.#client.send({ method: 'DELETE', name });
  }

  folder(name: string): S3Place {
    const [address = '', ...settings] = this.url.split('?');
    const inside = `${address.replace(/\/+$/, '')}/${encodeURIComponent(name)}`;
    return new S3Place([inside, ...settings].join('?'), this.#environment);
  }
}

function must(response: Response, name: string): Response {
  if (!response.ok) throw new MissingObjectError(name);
  return response;
}

async function withinTime<T>(read: Promise<T>, name: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${name} sent nothing for ${STALL_MS} ms`)), STALL_MS);
  });
  try {
    return await Promise.race([read, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function* inParts(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of bytes) {
    for (let rest = chunk; rest.length > 0;) {
      const taken = rest.subarray(0, PART_BYTES - length);
      parts.push(taken);
      length += taken.length;
      rest = rest.subarray(taken.length);
      if (length < PART_BYTES) continue;
      yield Buffer.concat(parts);
      parts = [];
      length = 0;
    }
  }
  if (length > 0) yield Buffer.concat(parts);
}
