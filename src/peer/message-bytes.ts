import { Entry, Message } from '../wire/gen/raftpb.ts';
import { isSpliced, type SpliceWriter } from './splice-writer.ts';

/** Tags of length-delimited fields. */
const ENTRY_DATA = 0x22;
const MESSAGE_ENTRIES = 0x3a;

/** Number of fields before the entries that a message always has: type, to, from, term, log term and index. */
const FIELDS_BEFORE_ENTRIES = 6;

/** Bytes of the entries' data that are not copied. */
export function splicedBytes(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const { data } of entries) if (isSpliced(data)) bytes += data.length;
  return bytes;
}

/** Writes an entry as its codec does. */
export function writeEntry(entry: Entry, out: SpliceWriter): void {
  const { data } = entry;
  if (!isSpliced(data)) {
    Entry.write(entry, out.writer);
    return;
  }
  const { writer } = out;
  Entry.write({ ...entry, data: undefined }, writer);
  writer.byte(ENTRY_DATA);
  writer.uint32(data.length);
  out.splice(data);
}

/** Writes a message as its codec does. */
export function writeMessage(message: Message, out: SpliceWriter): void {
  const { entries } = message;
  const { writer } = out;
  if (splicedBytes(entries) === 0) {
    Message.write(message, writer);
    return;
  }
  const around = Message.encode({ ...message, entries: [] });
  const headEnd = endOfHead(around);
  writer.raw(around.subarray(0, headEnd));
  for (const entry of entries) {
    writer.byte(MESSAGE_ENTRIES);
    writer.uint32(Entry.size(entry));
    writeEntry(entry, out);
  }
  writer.raw(around.subarray(headEnd));
}

function endOfHead(message: Buffer): number {
  let at = 0;
  for (let field = 0; field < FIELDS_BEFORE_ENTRIES; field += 1) {
    at += 1;
    while ((message[at] ?? 0) >= 0x80) at += 1;
    at += 1;
  }
  return at;
}
