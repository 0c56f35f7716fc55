/**
 * Messages around bytes that are encoded already: what is stored or was received is copied or sliced in, never
 * decoded.
 */
import { varintSize, writeVarint } from './varint.ts';

const LENGTH_DELIMITED = 2;

/** Tag and length in front of a length-delimited field's bytes. */
export function fieldHead(field: number, length: number): Buffer {
  const tag = field * 8 + LENGTH_DELIMITED;
  const head = Buffer.allocUnsafe(varintSize(tag) + varintSize(length));
  writeVarint(head, writeVarint(head, 0, tag), length);
  return head;
}
