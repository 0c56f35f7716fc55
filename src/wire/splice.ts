/**
 * Builds messages around bytes that are already encoded. Stored or received bytes are copied or sliced, not decoded.
 */
import { varintSize, writeVarint } from './varint.ts';

const LENGTH_DELIMITED = 2;

/** Encodes tag and length of a length-delimited field. */
export function fieldHead(field: number, length: number): Buffer {
  const tag = field * 8 + LENGTH_DELIMITED;
  const head = Buffer.allocUnsafe(varintSize(tag) + varintSize(length));
  writeVarint(head, writeVarint(head, 0, tag), length);
  return head;
}
