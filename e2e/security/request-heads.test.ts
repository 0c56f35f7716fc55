import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FrameFlag, FrameType } from '../../src/http2/constants.ts';
import { encodeStatic, type HeaderPair } from '../../src/http2/hpack-encoder.ts';
import { RawClient } from '../../src/http2/raw-client.ts';
import { PutRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { Member } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';

const missing = missingPeers('etcd');

const base: readonly HeaderPair[] = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', KV.methods.put.path],
  [':authority', 'localhost'],
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
];
const without = (...names: string[]): HeaderPair[] => base.filter(([name]) => !names.includes(name));
const changed = (name: string, value: string): HeaderPair[] =>
  base.map((pair) => (pair[0] === name ? [name, value] : pair));

const cases: [string, HeaderPair[]][] = [
  ['nothing odd', [...base]],
  ['no scheme', without(':scheme')],
  ['an empty scheme', changed(':scheme', '')],
  ['another scheme', changed(':scheme', 'ftp')],
  ['no te', without('te')],
  ['an odd te', changed('te', 'gzip')],
  ['two te', [...base, ['te', 'gzip']]],
  ['no path', without(':path')],
  ['no path and no scheme', without(':path', ':scheme')],
  ['an empty path', changed(':path', '')],
  ['a star for a path', changed(':path', '*')],
  ['no method', without(':method')],
  ['no authority', without(':authority')],
  ['a connection header', [...base, ['connection', 'close']]],
  ['a pseudo field behind others', [...without(':path'), [':path', KV.methods.put.path]]],
  ['two paths', [[':path', '/x'], ...base]],
  ['an unknown pseudo field', [[':unknown', 'x'], ...base]],
];

interface Outcome {
  readonly status: string | undefined;
  readonly code: string | undefined;
  readonly message: string;
  readonly reset: number | undefined;
}

/** A put with that head, its stream ended or left open. */
async function outcome(member: Member, head: readonly HeaderPair[], endStream: boolean): Promise<Outcome> {
  const client = await RawClient.open({ host: '127.0.0.1', port: member.clientPort });
  try {
    client.send(FrameType.HEADERS, FrameFlag.END_HEADERS, 1, encodeStatic(head));
    const put = PutRequest.create({ key: Buffer.from('key'), value: Buffer.from('value') });
    client.message(1, PutRequest.encode(put), endStream);
    await client.ended(1);
    const headers = client.headers(1);
    const answered = headers[':status'] !== undefined;
    return {
      status: headers[':status'],
      code: headers['grpc-status'],
      message: headers['grpc-message'] ?? '',
      // Behind an answer a reset only says that the rest of the request is not read.
      reset: answered ? undefined : client.resetCode(1),
    };
  } finally {
    client.close();
  }
}

describe.skipIf(missing !== undefined)(`headers of gRPC requests ${missing ?? ''}`, () => {
  let members: Member[];
  beforeAll(async () => {
    members = [await Member.start({ kind: 'etcd' }), await Member.start({ kind: 'keystead' })];
  });
  afterAll(async () => {
    for (const member of members) await member.destroy();
  });

  it.each(cases)('with %s get the same response as from etcd', async (_what, head) => {
    const [etcd, keystead] = members as [Member, Member];
    expect(await outcome(keystead, head, true)).toEqual(await outcome(etcd, head, true));
  });

  it('a put is answered although its stream is not ended', async () => {
    const [etcd, keystead] = members as [Member, Member];
    const answer = await outcome(keystead, base, false);
    expect(answer).toEqual(await outcome(etcd, base, false));
    expect(answer.code).toBe('0');
  });
});
