/**
 * Finds the prefix that a key is counted under.
 *
 * A configured prefix such as `/app/` is one label for all keys that begin with it. A prefix that ends with `/*`, such
 * as `/registry/*`, makes a label for each path segment below it, as Kubernetes names its resources: `/registry/pods`.
 * A segment with a dot is an API group, and its label has the next segment too: `/registry/apps.example.com/widgets`.
 * The longest configured prefix of a key decides.
 *
 * A label is made for the first key or watch that needs it, and stays until the process ends. So a key has the same
 * label at its put and at its deletion, also when the maximum number of labels is reached: from then on no label is
 * added, and what would need a new one is counted as `other`.
 */
import type { KeyRange } from '../mvcc/key-range.ts';

/** The number of the label of all keys that have no other one. */
export const OTHER = 0;
export const OTHER_NAME = 'other';

/** A longer path has no label of its own. Kubernetes limits groups to 253 bytes and resources to 63. */
const MAX_LABEL_BYTES = 400;
const SLASH = 0x2f;
const DOT = 0x2e;
const SEGMENTS = '/*';

interface Prefix {
  readonly bytes: Buffer;
  /** The label of all keys with the prefix; undefined if each segment below it has its own. */
  readonly label: number | undefined;
}

export class PrefixLabels {
  readonly #prefixes: Prefix[] = [];
  /** Labels of path segments by their whole path. */
  readonly #segments = new Map<string, number>();
  readonly #names: string[] = [OTHER_NAME];
  readonly #max: number;

  /**
   * @param prefixes not empty, each once
   * @param max number of labels besides `other`
   */
  constructor(prefixes: readonly string[], max: number) {
    this.#max = max;
    for (const text of prefixes) {
      const isPath = text.endsWith(SEGMENTS);
      const bytes = Buffer.from(isPath ? text.slice(0, -1) : text);
      this.#prefixes.push({ bytes, label: isPath ? undefined : this.#add(text) });
    }
    this.#prefixes.sort((a, b) => b.bytes.length - a.bytes.length);
  }

  /** The names of all labels by their number. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** The number of the key's label. */
  of(key: Buffer): number {
    for (const { bytes, label } of this.#prefixes)
      if (startsWith(key, bytes)) return label ?? this.#ofSegment(key, bytes.length);
    return OTHER;
  }

  /** The label that all keys of the range have; `OTHER` if they may have several. */
  ofRange({ start, end, single }: KeyRange): number {
    if (single) return this.of(start);
    if (end === undefined) return OTHER;
    for (const { bytes, label } of this.#prefixes) {
      if (!startsWith(start, bytes)) continue;
      const length = label === undefined ? segmentEnd(start, bytes.length) + 1 : bytes.length;
      if (length > start.length || !isWithin(end, start.subarray(0, length))) return OTHER;
      if (label !== undefined) return label;
      // The range of a whole API group has several labels.
      const segments = start.toString('latin1', bytes.length, length - 1);
      return isGroup(segments) ? OTHER : this.#ofSegment(start, bytes.length);
    }
    return OTHER;
  }

  #ofSegment(key: Buffer, from: number): number {
    const end = segmentEnd(key, from);
    if (end > MAX_LABEL_BYTES) return OTHER;
    const name = key.toString('latin1', 0, end);
    const known = this.#segments.get(name);
    if (known !== undefined) return known;
    // What is no name of a resource would be hard to read as a label.
    if (!/^[\w.-]+(\/[\w.-]+)?$/.test(name.slice(from))) return OTHER;
    const label = this.#add(key.toString('utf8', 0, end));
    if (label !== OTHER) this.#segments.set(name, label);
    return label;
  }

  #add(name: string): number {
    return this.#names.length > this.#max ? OTHER : this.#names.push(name) - 1;
  }
}

function startsWith(key: Buffer, prefix: Buffer): boolean {
  if (key.length < prefix.length) return false;
  for (let at = 0; at < prefix.length; at += 1) if (key[at] !== prefix[at]) return false;
  return true;
}

/** The end of the segment at `from`, or of the next one if the first one has a dot; more than the maximum if too long. */
function segmentEnd(key: Buffer, from: number): number {
  const stop = Math.min(key.length, MAX_LABEL_BYTES + 1);
  let at = from;
  let hasDot = false;
  for (; at < stop && key[at] !== SLASH; at += 1) if (key[at] === DOT) hasDot = true;
  if (!hasDot || at + 1 >= stop || key[at + 1] === SLASH) return at;
  for (at += 1; at < stop && key[at] !== SLASH; at += 1);
  return at;
}

/** Whether the segments are an API group without a resource. */
function isGroup(segments: string): boolean {
  return segments.includes('.') && !segments.includes('/');
}

/** Whether all keys before `end` that are not before the prefix begin with it. */
function isWithin(end: Buffer, prefix: Buffer): boolean {
  if (startsWith(end, prefix)) return true;
  let last = prefix.length - 1;
  while (last >= 0 && prefix[last] === 0xff) last -= 1;
  if (last < 0) return false;
  const next = Buffer.from(prefix.subarray(0, last + 1));
  next[last] = (prefix[last] ?? 0) + 1;
  return Buffer.compare(end, next) <= 0;
}
