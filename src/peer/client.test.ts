import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { PeerHttpClient } from './client.ts';
import { decodeMembers } from './members-json.ts';

const MEGABYTE = 1024 * 1024;

const ending: (() => void)[] = [];
afterEach(() => ending.splice(0).forEach((end) => end()));

it('an endless list of members is refused', async () => {
  const answer = { endless: true, sentBytes: 0 };
  const server = createServer((_request, response) => {
    response.setHeader('X-Etcd-Cluster-ID', 'c1');
    if (!answer.endless) {
      response.end('[{"id":1,"peerURLs":["http://a:1"],"name":"a"}]');
      return;
    }
    const piece = Buffer.alloc(MEGABYTE, ' ');
    const more = (): void => {
      if (response.destroyed || answer.sentBytes >= 64 * MEGABYTE) {
        response.end();
        return;
      }
      answer.sentBytes += piece.length;
      response.write(piece, () => setImmediate(more));
    };
    more();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = new PeerHttpClient({ dialTimeoutMs: 2_000 });
  ending.push(
    () => client.close(),
    () => server.close(),
  );
  const urls = [`http://127.0.0.1:${(server.address() as AddressInfo).port}`];
  await expect(client.cluster(urls, 10_000)).rejects.toThrow('a body of more than');
  expect(answer.sentBytes).toBeLessThan(32 * MEGABYTE);
  answer.endless = false;
  expect((await client.cluster(urls, 10_000)).members).toHaveLength(1);
});

it('a text that is not a list of members is refused at once', () => {
  const startedAt = performance.now();
  for (const end of ['', '\\', '\\\n'])
    expect(() => decodeMembers(`[{"id":1,"name":"${'\\"'.repeat(40_000)}${end}`)).toThrow();
  expect(performance.now() - startedAt).toBeLessThan(500);
  const text = '[{"id":12345678901234567890,"name":"\\"1234567890123456\\\\","peerURLs":["http://a:1"]}]';
  expect(decodeMembers(text)[0]).toMatchObject({ id: 12345678901234567890n, name: '"1234567890123456\\' });
});
