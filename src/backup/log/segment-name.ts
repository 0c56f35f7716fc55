import type { EntryId } from '../../ports/applied-log.ts';
import type { StoredObject } from '../place.ts';

/**
 * What the name of a segment says. So the chains of a place are known from its list of names, without reading an
 * object. A segment that has grown is a new object under another name, which has all of the old one.
 */
export interface SegmentInfo {
  /** In hexadecimal. */
  readonly clusterId: string;
  readonly chain: ChainId;
  /** Index of the first entry. */
  readonly first: number;
  readonly last: EntryId;
  /** The revision before the first entry; 0 if it was not known. */
  readonly revisionBefore: number;
  /** The revision at the last mark. */
  readonly revision: number;
  /** Wall times of the first and the last mark, in milliseconds since 1970. */
  readonly firstTimeMs: number;
  readonly lastTimeMs: number;
  /** The key that it is encrypted with. */
  readonly keyId: string | undefined;
}

/** Segments without a gap between them have the same chain. */
export interface ChainId {
  /** One more than that of the chain before it. It gives the order, because clocks can step. */
  readonly sequence: number;
  /** 8 hexadecimal digits. They differ if two members begin a chain at the same time. */
  readonly random: string;
}

export interface StoredSegment extends SegmentInfo {
  readonly name: string;
  readonly bytes: number;
  readonly modifiedMs: number;
}

const NAME =
  /^([0-9a-f]{1,16})-(\d{8,15})-([0-9a-f]{8})-(\d{1,16})-(\d{1,16})-(\d{1,16})-(\d{1,16})-(\d{1,16})-(\d{1,16})-(\d{1,16})(?:\.log|-([0-9a-f]{16})\.log\.enc)$/;

export function segmentName(info: SegmentInfo): string {
  const { clusterId, chain, first, last, revisionBefore, revision, firstTimeMs, lastTimeMs, keyId } = info;
  const numbers = [first, last.index, last.term, revisionBefore, revision, firstTimeMs, lastTimeMs];
  return `${clusterId}-${chainName(chain)}-${numbers.join('-')}${keyId === undefined ? '.log' : `-${keyId}.log.enc`}`;
}

export function chainName({ sequence, random }: ChainId): string {
  return `${String(sequence).padStart(8, '0')}-${random}`;
}

/** Undefined for the name of something else. */
export function parseSegment({ name, bytes, modifiedMs }: StoredObject): StoredSegment | undefined {
  const match = NAME.exec(name);
  if (match === null) return undefined;
  const text = (group: number): string => match[group] ?? '';
  const number = (group: number): number => Number(text(group));
  return {
    name,
    bytes,
    modifiedMs,
    clusterId: text(1),
    chain: { sequence: number(2), random: text(3) },
    first: number(4),
    last: { index: number(5), term: number(6) },
    revisionBefore: number(7),
    revision: number(8),
    firstTimeMs: number(9),
    lastTimeMs: number(10),
    keyId: match[11],
  };
}

export function compareChains(a: ChainId, b: ChainId): number {
  return a.sequence - b.sequence || (a.random < b.random ? -1 : a.random > b.random ? 1 : 0);
}
