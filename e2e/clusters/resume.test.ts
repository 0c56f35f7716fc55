import { connect, createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PutRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member, serverUnderTest } from '../harness/member.ts';
import { freePort } from '../harness/ports.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';

const VALUE_BYTES = 100_000;
const VALUES = 300;
/** Of the store's 30 MB. */
const CUT_AFTER_BYTES = 12_000_000;

/** A proxy in front of a peer port that closes one connection after a number of bytes. */
function cutter(port: number): Server {
  let isDone = false;
  return createServer((near) => {
    const far = connect(port, '127.0.0.1');
    let bytes = 0;
    near.on('data', (chunk) => {
      bytes += chunk.length;
      if (!isDone && bytes > CUT_AFTER_BYTES) {
        isDone = true;
        near.destroy();
        return;
      }
      if (!far.write(chunk)) {
        near.pause();
        far.once('drain', () => near.resume());
      }
    });
    far.pipe(near);
    for (const [one, other] of [[near, far] as const, [far, near] as const]) {
      one.on('error', () => undefined);
      one.on('close', () => other.destroy());
    }
  });
}

describe.skipIf(serverUnderTest === 'etcd')('an interrupted snapshot transfer', () => {
  const members: Member[] = [];
  let proxy: Server;
  beforeAll(async () => {
    const ports = [await freePort(), await freePort(), await freePort()];
    const cluster = ports.map((port, at) => `m${at}=http://127.0.0.1:${port}`).join(',');
    const listenPort = await freePort();
    proxy = cutter(listenPort);
    await new Promise<void>((resolve) => proxy.listen(ports[2], '127.0.0.1', resolve));
    const flags = [
      `--initial-cluster=${cluster}`,
      '--snapshot-count=100',
      '--snapshot-catchup-entries=10',
      '--keystead-catchup-bytes=0',
    ];
    const starts = ports.map((peerPort, at) =>
      Member.start({
        kind: serverUnderTest,
        name: `m${at}`,
        peerPort,
        flags: at === 2 ? [...flags, `--listen-peer-urls=http://127.0.0.1:${listenPort}`] : flags,
      }),
    );
    members.push(...(await Promise.all(starts)));
  });
  afterAll(async () => {
    await Promise.all(members.map((member) => member.destroy()));
    proxy.close();
  });

  it('is resumed where it stopped', async () => {
    const [one, two, late] = members;
    if (one === undefined || two === undefined || late === undefined) throw new Error('three members run');
    await late.kill();
    const client = new RpcClient(one.endpoint);
    let written = 0;
    const write = async (): Promise<void> => {
      while (written < VALUES) {
        const key = Buffer.from(`key${(written += 1)}`);
        await client.unary(
          KV.methods.put,
          PutRequest.create({ key, value: Buffer.alloc(VALUE_BYTES, written) }),
        );
      }
    };
    await Promise.all(Array.from({ length: 8 }, write));
    client.close();
    await late.start();
    const all = new Etcdctl(members.map(({ endpoint }) => endpoint).join(','));
    const get = await new Etcdctl(one.endpoint).ok(['get', 'key1', '--keys-only', '-w', 'json']);
    const { header } = JSON.parse(get) as { header: { revision: number } };
    await eventually(
      'the member has caught up',
      async () => {
        const hashes = await all.ok(['endpoint', 'hashkv', `--rev=${header.revision}`]);
        const stores = hashes.trim().split('\n');
        return (
          stores.length === 3 && new Set(stores.map((line) => line.split(', ').slice(1).join())).size === 1
        );
      },
      { timeoutMs: 60_000, everyMs: 200 },
    );
    const resumed = [one, two].flatMap(({ program }) =>
      program.lines.filter((line) => line.includes('resuming an interrupted database snapshot')),
    );
    expect(resumed).toHaveLength(1);
    const { offset, bytes } = JSON.parse(resumed[0] ?? '') as { offset: number; bytes: number };
    expect(offset).toBeGreaterThan(CUT_AFTER_BYTES / 2);
    console.log(`resumed at byte ${offset} of ${bytes}`);
  });
});
