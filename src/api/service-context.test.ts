import { expect, it } from 'vitest';
import type { GrpcServer } from '../grpc/server.ts';
import type { UnaryCall } from '../grpc/unary-call.ts';
import type { Member } from '../server/member.ts';
import { TxnRequest } from '../wire/gen/etcdserverpb.ts';
import { KV } from '../wire/services.ts';
import { ServiceContext } from './service-context.ts';

type Handle = (call: UnaryCall, bytes: Buffer) => void;

interface Puts {
  readonly count: number;
  readonly valueBytes: number;
}
const LARGE_VALUES: Puts = { count: 100, valueBytes: 12_000 };
const MANY_VALUES: Puts = { count: 20_000, valueBytes: 10 };

/** Turns until a transaction is decoded, after the one in which it arrived, if each look at the clock takes `stepMs`. */
function turnsToDecode(puts: Puts, stepMs: number): number {
  const tasks: (() => void)[] = [];
  let now = 0;
  let handle: Handle | undefined;
  const member = {
    identity: { clusterId: 1n, memberId: 1n },
    clock: { now: () => (now += stepMs) },
    scheduler: { soon: (task: () => void) => tasks.push(task) },
    isReopening: false,
    whenOpen: (next: () => void) => next(),
    cluster: { isLocalLearner: false },
    hasLeader: true,
  };
  const server = {
    unary: (_: unknown, method: Handle) => {
      handle = method;
    },
  };
  const context = new ServiceContext(
    server as unknown as GrpcServer,
    member as unknown as Member,
    () => undefined,
  );
  const received: TxnRequest[] = [];
  context.unary(KV.methods.txn, (_, request: TxnRequest) => received.push(request));

  const value = Buffer.alloc(puts.valueBytes, 'v');
  const success = Array.from({ length: puts.count }, (_, at) => {
    const key = Buffer.from(`key-${at}`);
    const put = { key, value, lease: 0n, prevKv: false, ignoreValue: false, ignoreLease: false };
    return { request: { case: 'requestPut' as const, value: put } };
  });
  const bytes = TxnRequest.encode(TxnRequest.create({ success }));
  handle?.({ ended: false } as unknown as UnaryCall, bytes);
  let turns = 0;
  for (; received.length === 0; turns++) tasks.shift()?.();
  expect(received[0]?.success).toHaveLength(puts.count);
  return turns;
}

it('decodes a transaction of large values in the turn in which it arrives', () => {
  expect(turnsToDecode(LARGE_VALUES, 0.6)).toBe(0);
});

it('decodes a transaction of many values in one turn more, not in one for each part', () => {
  expect(turnsToDecode(MANY_VALUES, 0)).toBe(1);
});

it('ends a turn of decoding after a millisecond', () => {
  expect(turnsToDecode(MANY_VALUES, 0.6)).toBeGreaterThan(20);
});
