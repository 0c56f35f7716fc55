import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { reasonOf } from '../../lib/text.ts';
import { type BackupKey, decrypted } from '../encryption.ts';
import { type BackupPlace, MissingObjectError, readSmall } from '../place.ts';
import { KeyError } from '../verify.ts';
import { readLogCatalog } from './chains.ts';
import {
  decodeRecords,
  FORMAT_VERSION,
  LENGTH_BYTES,
  type LogRecord,
  MAGIC,
  type SegmentHeader,
  SHA256_BYTES,
} from './segment-format.ts';
import { chainName, type StoredSegment } from './segment-name.ts';

/** A block has at least one entry, and an entry can be as large as the largest request. */
const MAX_BLOCK_BYTES = 2 ** 30;

export interface LogPlace {
  readonly place: BackupPlace;
  readonly key: BackupKey | undefined;
}

export interface Segment {
  readonly header: SegmentHeader;
  /** In the order in which they were applied. */
  readonly records: () => Generator<LogRecord, void>;
}

/**
 * Reads a segment and checks its bytes.
 *
 * @throws KeyError for a wrong key, or Error that names the segment if it is missing or damaged
 */
export async function readSegment({ place, key }: LogPlace, segment: StoredSegment): Promise<Segment> {
  const { name, bytes, keyId } = segment;
  if (keyId !== undefined && keyId !== key?.id)
    throw new KeyError(
      `the segment ${name} is encrypted with the key ${keyId}${key === undefined ? '; give its file with --key-file' : `, but the key file has the key ${key.id}`}`,
    );
  let plain: Buffer;
  try {
    const stored = await readSmall(place, name, bytes);
    plain = keyId === undefined || key === undefined ? stored : await decryptAll(stored, key, name);
    return open(plain, segment);
  } catch (error) {
    if (error instanceof MissingObjectError)
      throw new Error(`the segment ${name} is missing`, { cause: error });
    throw new Error(`the segment ${name} is damaged: ${reasonOf(error)}`, { cause: error });
  }
}

/**
 * Reads a segment, or the longer one that a running server has replaced it with since the place was listed. The longer
 * one has all records of the shorter one.
 *
 * @throws as `readSegment`
 */
export async function readGrowingSegment(log: LogPlace, segment: StoredSegment): Promise<Segment> {
  try {
    return await readSegment(log, segment);
  } catch (error) {
    if (!(error instanceof Error && error.cause instanceof MissingObjectError)) throw error;
    const grown = await grownFrom(log.place, segment);
    if (grown === undefined) throw error;
    return readGrowingSegment(log, grown);
  }
}

/** It is longer than `before`, so a search that is repeated ends. */
async function grownFrom(place: BackupPlace, before: StoredSegment): Promise<StoredSegment | undefined> {
  const { clusterId, chain, first, last } = before;
  const { chains } = await readLogCatalog(place);
  return chains
    .find((found) => found.clusterId === clusterId && chainName(found.id) === chainName(chain))
    ?.segments.find((found) => found.first <= first && found.last.index > last.index);
}

async function decryptAll(stored: Buffer, key: BackupKey, id: string): Promise<Buffer> {
  const parts: Buffer[] = [];
  async function* one(): AsyncGenerator<Buffer, void> {
    await Promise.resolve();
    yield stored;
  }
  for await (const part of decrypted(one(), key, id)) parts.push(part);
  return Buffer.concat(parts);
}

function open(plain: Buffer, { clusterId, chain, first }: StoredSegment): Segment {
  const end = plain.length - SHA256_BYTES;
  if (end < MAGIC.length + LENGTH_BYTES || !plain.subarray(0, MAGIC.length).equals(MAGIC))
    throw new Error('it is no segment of a log');
  const sha256 = createHash('sha256').update(plain.subarray(0, end)).digest();
  if (!sha256.equals(plain.subarray(end))) throw new Error('its SHA-256 is not that of its bytes');
  const blocksStart = MAGIC.length + LENGTH_BYTES + plain.readUInt32BE(MAGIC.length);
  const json = plain.subarray(MAGIC.length + LENGTH_BYTES, blocksStart).toString('utf8');
  const { formatVersion } = JSON.parse(json) as { formatVersion?: unknown };
  if (formatVersion !== FORMAT_VERSION) throw new Error(`its format version is ${String(formatVersion)}`);
  const header = JSON.parse(json) as SegmentHeader;
  if (
    header.clusterId !== clusterId ||
    chainName(header.chain) !== chainName(chain) ||
    header.previous.index + 1 !== first
  )
    throw new Error('its name is that of another segment');
  return {
    header,
    records: function* () {
      for (let at = blocksStart; ;) {
        const length = plain.readUInt32BE(at);
        at += LENGTH_BYTES;
        if (length === 0) return;
        yield* decodeRecords(
          gunzipSync(plain.subarray(at, at + length), { maxOutputLength: MAX_BLOCK_BYTES }),
        );
        at += length;
      }
    },
  };
}
