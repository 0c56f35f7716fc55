import { takeRoom } from '../wire/room.ts';
import { varintSize, writeVarint } from '../wire/varint.ts';

/**
 * Encodes the log entry of one client request: an `InternalRaftRequest` in Go's field order. It contains the bytes of
 * the request as the client sent them, so that a put is not decoded and encoded again.
 */

/** Field numbers of the requests in `InternalRaftRequest`. */
export const RaftRequestField = {
  put: 4,
  deleteRange: 5,
  txn: 6,
  compaction: 7,
  leaseGrant: 8,
  leaseRevoke: 9,
  alarm: 10,
  leaseCheckpoint: 11,
  authEnable: 1000,
  authDisable: 1011,
  authenticate: 1012,
  authStatus: 1013,
  authUserAdd: 1100,
  authUserDelete: 1101,
  authUserGet: 1102,
  authUserChangePassword: 1103,
  authUserGrantRole: 1104,
  authUserRevokeRole: 1105,
  authUserList: 1106,
  authRoleList: 1107,
  authRoleAdd: 1200,
  authRoleDelete: 1201,
  authRoleGet: 1202,
  authRoleGrantPermission: 1203,
  authRoleRevokePermission: 1204,
  clusterVersionSet: 1300,
  clusterMemberAttrSet: 1301,
  downgradeInfoSet: 1302,
  downgradeVersionTest: 9900,
} as const;
export type RaftRequestField = (typeof RaftRequestField)[keyof typeof RaftRequestField];

export interface RequestAuth {
  readonly username: string;
  readonly revision: number;
}

const HEADER_FIELD = 100;
const LENGTH_DELIMITED = 2;
const LOW_BITS = 2 ** 32;

/** Returns the varint size of `high * 2^32 + low`; both are unsigned 32-bit numbers. */
function varint64Size(high: number, low: number): number {
  if (high === 0) return varintSize(low);
  const bits = 64 - Math.clz32(high);
  return Math.ceil(bits / 7);
}

function writeVarint64(target: Buffer, at: number, high: number, low: number): number {
  let position = at;
  let lowRest = low >>> 0;
  let highRest = high >>> 0;
  while (highRest !== 0 || lowRest >= 0x80) {
    target[position++] = (lowRest & 0x7f) | 0x80;
    lowRest = ((lowRest >>> 7) | (highRest << 25)) >>> 0;
    highRest >>>= 7;
  }
  target[position++] = lowRest;
  return position;
}

/**
 * Encodes the data of the entry. It may be in the memory of `body`, around it.
 *
 * @param field the kind of request
 * @param body the encoded request
 * @param prefix the high 16 bits of the request id, from the member id
 * @param sequence the low 48 bits of the request id
 */
export function encodeRaftRequest(
  field: RaftRequestField,
  body: Buffer,
  prefix: number,
  sequence: number,
  auth?: RequestAuth,
): Buffer {
  const high = prefix * 0x10000 + Math.floor(sequence / LOW_BITS);
  const low = sequence % LOW_BITS;
  const username = auth === undefined ? undefined : Buffer.from(auth.username);
  let headerSize = 1 + varint64Size(high, low);
  if (username !== undefined && username.length > 0)
    headerSize += 1 + varintSize(username.length) + username.length;
  if (auth !== undefined && auth.revision > 0) headerSize += 1 + varintSize(auth.revision);
  const bodyTag = field * 8 + LENGTH_DELIMITED;
  const bodyHead = varintSize(bodyTag) + varintSize(body.length);
  const rest = 2 + varintSize(headerSize) + headerSize;
  const around = field < HEADER_FIELD ? takeRoom(body, bodyHead, rest) : undefined;
  const data = around ?? Buffer.allocUnsafe(bodyHead + body.length + rest);
  let at = 0;
  if (field < HEADER_FIELD) {
    at = writeHead(data, at, bodyTag, body.length);
    at += around === undefined ? body.copy(data, at) : body.length;
  }
  at = writeVarint(data, at, HEADER_FIELD * 8 + LENGTH_DELIMITED);
  at = writeVarint(data, at, headerSize);
  data[at++] = 0x08;
  at = writeVarint64(data, at, high, low);
  if (username !== undefined && username.length > 0) {
    data[at++] = 0x12;
    at = writeVarint(data, at, username.length);
    at += username.copy(data, at);
  }
  if (auth !== undefined && auth.revision > 0) {
    data[at++] = 0x18;
    at = writeVarint(data, at, auth.revision);
  }
  if (field > HEADER_FIELD) body.copy(data, writeHead(data, at, bodyTag, body.length));
  return data;
}

function writeHead(data: Buffer, at: number, tag: number, length: number): number {
  return writeVarint(data, writeVarint(data, at, tag), length);
}
