import type { MessageCodec } from '../codec.ts';
import * as authpb from '../gen/authpb.ts';
import * as etcdserverpb from '../gen/etcdserverpb.ts';
import * as leasepb from '../gen/leasepb.ts';
import * as membershippb from '../gen/membershippb.ts';
import * as mvccpb from '../gen/mvccpb.ts';
import * as raftpb from '../gen/raftpb.ts';
import * as snappb from '../gen/snappb.ts';
import * as v3electionpb from '../gen/v3electionpb.ts';
import * as v3lockpb from '../gen/v3lockpb.ts';
import * as walpb from '../gen/walpb.ts';

type AnyMessage = Record<string, unknown>;

const packages = [
  authpb,
  etcdserverpb,
  leasepb,
  membershippb,
  mvccpb,
  raftpb,
  snappb,
  v3electionpb,
  v3lockpb,
  walpb,
];

function isCodec(value: unknown): value is MessageCodec<AnyMessage> {
  return typeof value === 'object' && value !== null && 'typeName' in value;
}

/** All generated codecs by full message name. */
export const allCodecs: ReadonlyMap<string, MessageCodec<AnyMessage>> = new Map(
  packages
    .flatMap((each) => Object.values(each) as unknown[])
    .filter(isCodec)
    .map((codec) => [codec.typeName, codec]),
);
