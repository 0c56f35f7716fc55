import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { readSmall } from './place.ts';
import { S3Place } from './s3-place.ts';

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

const environment = {
  AWS_ACCESS_KEY_ID: 'id',
  AWS_SECRET_ACCESS_KEY: 'secret',
  AWS_SESSION_TOKEN: 'session',
};
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A server that gives one answer after the other. */
async function answers(list: Answer[]): Promise<{ place: S3Place; requests: string[] }> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method ?? ''} ${request.url ?? ''}`);
    request
      .resume()
      .on('end', () => (list.shift() ?? ((last: ServerResponse) => last.end()))(response, request));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { place: new S3Place(`s3://bucket/a%20b?endpoint=http://127.0.0.1:${port}`, environment), requests };
}

const status =
  (code: number, body = ''): Answer =>
  (response) =>
    response.writeHead(code).end(body);

describe('a place in S3', () => {
  it('tries again what may pass: a busy server, a reset connection', async () => {
    const { place, requests } = await answers([
      status(503, '<Error><Code>SlowDown</Code></Error>'),
      (response) => response.destroy(),
      status(200, 'bytes'),
    ]);
    expect(String(await readSmall(place, 'name', 100))).toBe('bytes');
    expect(requests).toEqual(Array.from({ length: 3 }, () => 'GET /bucket/a%20b/name'));
  });

  it('does not repeat what is refused, and says why', async () => {
    const { place, requests } = await answers([
      status(403, '<Error><Code>AccessDenied</Code><Message>not you &amp; me</Message></Error>'),
    ]);
    await expect(readSmall(place, 'name', 100)).rejects.toThrow('AccessDenied: not you & me');
    expect(requests.length).toBe(1);
  });

  it('reads lists of several pages, without what is deeper', async () => {
    const object = (key: string): string =>
      `<Contents><Key>${key}</Key><LastModified>2026-11-22T00:00:00.000Z</LastModified><Size>7</Size></Contents>`;
    const { place, requests } = await answers([
      status(
        200,
        `<R>${object('a b/1')}${object('a b/c/2')}<IsTruncated>true</IsTruncated><NextContinuationToken>t&amp;1</NextContinuationToken></R>`,
      ),
      status(200, `<R>${object('a b/3&#x26;')}<IsTruncated>false</IsTruncated></R>`),
    ]);
    const modifiedMs = Date.parse('2026-11-22T00:00:00Z');
    expect(await place.list()).toEqual([
      { name: '1', bytes: 7, modifiedMs },
      { name: '3&', bytes: 7, modifiedMs },
    ]);
    expect(requests[1]).toContain('continuation-token=t%261');
  });

  it('ends an upload in parts that fails, also after the status was sent', async () => {
    const part: Answer = (response) => response.setHeader('etag', '"tag"').end();
    const { place, requests } = await answers([
      status(200, '<UploadId>u1</UploadId>'),
      part,
      part,
      status(200, '<Error><Code>InternalError</Code><Message>try later</Message></Error>'),
      status(204),
    ]);
    const large = Readable.from([Buffer.alloc(3 << 20), Buffer.alloc(3 << 20)]);
    await expect(place.put('name', large)).rejects.toThrow('the upload of name failed: try later');
    expect(requests.map((request) => request.replace('/bucket/a%20b/name', ''))).toEqual([
      'POST ?uploads=',
      'PUT ?partNumber=1&uploadId=u1',
      'PUT ?partNumber=2&uploadId=u1',
      'POST ?uploadId=u1',
      'DELETE ?uploadId=u1',
    ]);
  });

  it('signs requests with the token of the session, and sends the hash of the bytes', async () => {
    let headers: IncomingMessage['headers'] = {};
    const { place } = await answers([
      (response, request) => {
        headers = request.headers;
        response.end();
      },
    ]);
    await place.put('name', Readable.from([Buffer.from('abc')]));
    expect(headers).toMatchObject({
      'content-length': '3',
      'x-amz-content-sha256': 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
      'x-amz-security-token': 'session',
      authorization: expect.stringMatching(
        /^AWS4-HMAC-SHA256 Credential=id\/\d{8}\/us-east-1\/s3\//,
      ) as string,
    });
  });
});
