import { expect, it } from 'vitest';
import type { Call } from '../../grpc/call.ts';
import { GrpcCode } from '../../wire/errors.ts';
import {
  type AuthenticateRequest,
  AuthUserGrantRoleRequest,
  CompareCompareTarget,
  PutRequest,
  RangeRequest,
  TxnRequest,
  WatchRequest,
  WatchResponse,
} from '../../wire/gen/etcdserverpb.ts';
import { SeededRandom } from '../../lib/seeded-random.ts';
import { allCodecs } from '../../wire/testing/all-codecs.ts';
import { randomMessage } from '../../wire/testing/random-message.ts';
import { AuditLog } from './audit-log.ts';
import { keyText, requestFields } from './request-fields.ts';
import { txnFields } from './txn-fields.ts';

const SECRET = 'a-very-secret-word';
const bytes = (text: string): Buffer => Buffer.from(text);

interface Line {
  readonly [name: string]: unknown;
}

/** Returns a log, the lines it writes, and a call as the log sees it. */
function open(level: 'write' | 'all', isAuthEnabled = false) {
  const lines: Line[] = [];
  const log = new AuditLog({
    level,
    write: (line) => {
      expect(line.endsWith('\n')).toBe(true);
      lines.push(JSON.parse(line) as Line);
    },
    wallMs: () => 0,
    isAuthEnabled: () => isAuthEnabled,
  });
  const call = {
    peer: '127.0.0.1:7',
    session: { commonName: undefined },
    metadata: { get: () => undefined },
  } as unknown as Call;
  return { log, lines, call };
}

it('a put: user, key, lease and result, and never the value', () => {
  const { log, lines, call } = open('write');
  const put = PutRequest.encode(PutRequest.create({ key: bytes('a\0b'), value: bytes(SECRET), lease: 7n }));
  const observer = log.observe('/etcdserverpb.KV/Put', call, put);
  // A header of a response with revision 5.
  observer?.responded([Buffer.from([0x0a, 2, 0x18, 5]), bytes('rest')]);
  observer?.ended(GrpcCode.OK);
  expect(lines).toEqual([
    {
      ts: '1970-01-01T00:00:00.000Z',
      remote: '127.0.0.1:7',
      method: 'etcdserverpb.KV/Put',
      key: 'a\\x00b',
      lease: '7',
      revision: 5,
      code: 'OK',
      duration_us: expect.any(Number) as number,
    },
  ]);
});

it('reads are logged at level all, and refused reads at any level', () => {
  const range = RangeRequest.encode(
    RangeRequest.create({ key: bytes('k'), rangeEnd: bytes('l'), revision: 3 }),
  );
  const ask = (level: 'write' | 'all', code: number, auth = false): Line[] => {
    const { log, lines, call } = open(level, auth);
    log.observe('/etcdserverpb.KV/Range', call, range)?.ended(code);
    return lines;
  };
  expect(ask('write', GrpcCode.OK)).toEqual([]);
  expect(ask('all', GrpcCode.OK)).toMatchObject([{ key: 'k', range_end: 'l', at_revision: 3, code: 'OK' }]);
  expect(ask('write', GrpcCode.PermissionDenied)).toMatchObject([{ code: 'PermissionDenied' }]);
  expect(ask('write', GrpcCode.InvalidArgument)).toEqual([]);
  expect(ask('write', GrpcCode.InvalidArgument, true)).toMatchObject([{ code: 'InvalidArgument' }]);
});

it('a transaction: its operations, nested ones included, up to a limit', () => {
  const key = bytes('k');
  const put = { case: 'requestPut', value: PutRequest.create({ key, value: bytes(SECRET) }) } as const;
  const range = { case: 'requestRange', value: RangeRequest.create({ key }) } as const;
  const inner = TxnRequest.create({ success: Array<{ request: typeof put }>(40).fill({ request: put }) });
  const request = TxnRequest.create({
    compare: [
      {
        result: 0,
        target: CompareCompareTarget.VALUE,
        key: bytes('c'),
        rangeEnd: Buffer.alloc(0),
        targetUnion: { case: 'value', value: bytes(SECRET) },
      },
    ],
    success: [{ request: { case: 'requestTxn', value: inner } }],
    failure: [{ request: range }],
  });
  const fields = txnFields(TxnRequest.encode(request));
  expect(fields).toMatchObject({ compared: ['c'], operations_total: 41 });
  expect(fields['operations']).toHaveLength(32);
  expect((fields['operations'] as unknown[])[0]).toEqual({ op: 'put', branch: 'success', key: 'k' });
  expect(JSON.stringify(fields)).not.toContain(SECRET);

  const { log, lines, call } = open('write');
  const reads = TxnRequest.encode(TxnRequest.create({ success: [{ request: range }] }));
  log.observe('/etcdserverpb.KV/Txn', call, reads)?.ended(GrpcCode.OK);
  log.observe('/etcdserverpb.KV/Txn', call, TxnRequest.encode(request))?.ended(GrpcCode.OK);
  expect(lines).toHaveLength(1);
});

it('each watch of a stream has a line, granted or denied', () => {
  const { log, lines, call } = open('all');
  const observer = log.observe('/etcdserverpb.Watch/Watch', call, undefined);
  const create = (key: string): Buffer =>
    WatchRequest.encode({
      requestUnion: {
        case: 'createRequest',
        value: {
          key: bytes(key),
          rangeEnd: Buffer.alloc(0),
          startRevision: 9,
          progressNotify: false,
          filters: [],
          prevKv: false,
          watchId: 0n,
          fragment: false,
        },
      },
    });
  const denied = 'rpc error: code = PermissionDenied desc = etcdserver: permission denied';
  observer?.received(create('a'));
  observer?.received(create('b'));
  observer?.responded(WatchResponse.encode(WatchResponse.create({ created: true })));
  observer?.responded(
    WatchResponse.encode(WatchResponse.create({ created: true, canceled: true, cancelReason: denied })),
  );
  observer?.responded(Buffer.alloc(100_000));
  observer?.received(WatchRequest.encode({ requestUnion: { case: 'progressRequest', value: {} } }));
  observer?.ended(GrpcCode.Canceled);
  expect(lines).toMatchObject([
    { key: 'a', start_revision: 9, code: 'OK' },
    { key: 'b', code: 'PermissionDenied' },
  ]);
});

it('a request that cannot be decoded has a line too', () => {
  const { log, lines, call } = open('write');
  log.observe('/etcdserverpb.KV/Put', call, Buffer.from([0xff]))?.ended(GrpcCode.Internal);
  expect(lines).toMatchObject([{ unreadable: true, code: 'Internal' }]);
  expect(log.observe('/grpc.health.v1.Health/Check', call, Buffer.alloc(0))).toBeUndefined();
});

it('keys are written as text', () => {
  expect(keyText(bytes('/registry/pods/a b'))).toBe('/registry/pods/a b');
  expect(keyText(Buffer.from([0, 0xff, 0x5c, 0x22, 0x7f]))).toBe('\\x00\\xff\\\\"\\x7f');
  expect(keyText(Buffer.alloc(300, 'k'))).toBe(`${'k'.repeat(256)}... (300 bytes)`);
});

it('no field of a request can be taken for the user or the result', () => {
  const { log, lines, call } = open('write');
  const grant = AuthUserGrantRoleRequest.encode({ user: 'root', role: 'root' });
  log.observe('/etcdserverpb.Auth/UserGrantRole', call, grant)?.ended(GrpcCode.PermissionDenied);
  expect(lines).toMatchObject([{ target_user: 'root', role: 'root', code: 'PermissionDenied' }]);
  expect(lines[0]).not.toHaveProperty('user');
  const own = new Set(['ts', 'remote', 'user', 'cn', 'via', 'method', 'revision', 'code', 'duration_us']);
  for (const [type, codec] of allCodecs) {
    const fields = requestFields(type, codec.decode(codec.encode(randomMessage(new SeededRandom(1), type))));
    for (const name of Object.keys(fields)) expect(own.has(name), `${type} ${name}`).toBe(false);
  }
});

it('no field that could hold a secret is logged', () => {
  const login: AuthenticateRequest = { name: 'root', password: SECRET };
  expect(requestFields('etcdserverpb.AuthenticateRequest', login)).toEqual({ name: 'root' });
  expect(
    requestFields('etcdserverpb.AuthUserAddRequest', {
      name: 'u',
      password: SECRET,
      hashedPassword: SECRET,
      options: undefined,
    }),
  ).toEqual({ name: 'u' });
});
