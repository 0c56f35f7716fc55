import { defined } from '../lib/assert.ts';

export interface KeyInterval {
  readonly begin: Buffer;
  /** Exclusive; undefined means no end. */
  readonly end: Buffer | undefined;
}

interface Node {
  readonly interval: KeyInterval;
  isRed: boolean;
  parent: Node | undefined;
  left: Node | undefined;
  right: Node | undefined;
  /** The latest end in the subtree. */
  latestEnd: Buffer | undefined;
}

/**
 * Decides whether a range whose end is before its begin is permitted. Such a range contains no key. But it can be part
 * of a transaction, and then the decision determines whether the writes happen. So all members must decide as etcd.
 *
 * etcd searches a red-black interval tree for an interval that contains the begin of the range. Its pruning rule
 * assumes a proper range and skips some subtrees, so the result depends on the shape of the tree. This class builds
 * the same tree (insertion by Cormen et al., Introduction to Algorithms, chapters 13 and 14, in the order of the
 * permissions) and searches it by the same rule.
 */
export class InvertedRanges {
  #root: Node | undefined;

  constructor(intervals: readonly KeyInterval[]) {
    for (const interval of intervals) this.#insert(interval);
    setLatestEnds(this.#root);
  }

  /** @param begin the begin of the range; it is greater than `end` */
  isPermitted(begin: Buffer, end: Buffer): boolean {
    return isReached(this.#root, begin, end);
  }

  #insert(interval: KeyInterval): void {
    let parent: Node | undefined;
    let isLeft = false;
    for (let at = this.#root; at !== undefined; at = isLeft ? at.left : at.right) {
      parent = at;
      const order = Buffer.compare(interval.begin, at.interval.begin);
      isLeft = order < 0 || (order === 0 && compareEnds(interval.end, at.interval.end) < 0);
    }
    const node: Node = {
      interval,
      isRed: true,
      parent,
      left: undefined,
      right: undefined,
      latestEnd: undefined,
    };
    if (parent === undefined) this.#root = node;
    else if (isLeft) parent.left = node;
    else parent.right = node;
    this.#restoreColors(node);
  }

  /** Restores the invariant that the parent of a red node is black: recolors while the uncle is red, then rotates. */
  #restoreColors(inserted: Node): void {
    let node = inserted;
    for (let parent = node.parent; parent?.isRed === true; parent = node.parent) {
      const grandparent = defined(parent.parent, 'a red node is not the root');
      const isLeft = grandparent.left === parent;
      const uncle = isLeft ? grandparent.right : grandparent.left;
      if (uncle?.isRed === true) {
        uncle.isRed = false;
        parent.isRed = false;
        grandparent.isRed = true;
        node = grandparent;
        continue;
      }
      if (node === (isLeft ? parent.right : parent.left)) {
        this.#rotate(parent, isLeft);
        [node, parent] = [parent, node];
      }
      parent.isRed = false;
      grandparent.isRed = true;
      this.#rotate(grandparent, !isLeft);
    }
    defined(this.#root, 'a tree that was inserted into has a root').isRed = false;
  }

  /** Moves a child of the node up, to the place of the node. */
  #rotate(node: Node, toLeft: boolean): void {
    const child = defined(toLeft ? node.right : node.left, 'a node is rotated with a child');
    const inner = toLeft ? child.left : child.right;
    if (toLeft) node.right = inner;
    else node.left = inner;
    if (inner !== undefined) inner.parent = node;
    const { parent } = node;
    child.parent = parent;
    if (parent === undefined) this.#root = child;
    else if (parent.left === node) parent.left = child;
    else parent.right = child;
    if (toLeft) child.left = node;
    else child.right = node;
    node.parent = child;
  }
}

function setLatestEnds(node: Node | undefined): void {
  if (node === undefined) return;
  let latest = node.interval.end;
  for (const child of [node.left, node.right]) {
    if (child === undefined) continue;
    setLatestEnds(child);
    if (compareEnds(child.latestEnd, latest) > 0) latest = child.latestEnd;
  }
  node.latestEnd = latest;
}

function isReached(node: Node | undefined, begin: Buffer, end: Buffer): boolean {
  if (node === undefined) return false;
  const { interval } = node;
  if (Buffer.compare(begin, interval.begin) < 0) return isReached(node.left, begin, end);
  if (compareEnds(begin, interval.end) < 0) return true;
  // The interval ends before the begin of the range. etcd's rule searches the subtree only if it overlaps the range.
  const overlaps = Buffer.compare(interval.begin, end) < 0 && compareEnds(node.latestEnd, begin) > 0;
  return overlaps && (isReached(node.left, begin, end) || isReached(node.right, begin, end));
}

function compareEnds(a: Buffer | undefined, b: Buffer | undefined): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? 1 : -1;
  return Buffer.compare(a, b);
}
