/** Greater than every latin1 string. It is the end of an interval that has no end. */
export const NO_END = '\u0100';

interface Node<Value> {
  readonly start: string;
  readonly end: string;
  readonly value: Value;
  readonly priority: number;
  left: Node<Value> | undefined;
  right: Node<Value> | undefined;
  /** The greatest end in the subtree. */
  maxEnd: string;
}

/**
 * Values by interval [start, end) of latin1 strings. Intervals may overlap. A change takes O(log n) steps, and so
 * does finding each interval that contains a point.
 *
 * A treap (Seidel and Aragon, "Randomized search trees", 1996) ordered by start and end. Each node has the greatest
 * end below it. The priorities come from a fixed sequence, which a choice of keys cannot exploit.
 */
export class IntervalMap<Value> {
  #root: Node<Value> | undefined;
  #size = 0;
  #priority = 0x9e37_79b9;

  get size(): number {
    return this.#size;
  }

  get(start: string, end: string): Value | undefined {
    let node = this.#root;
    while (node !== undefined) {
      const order = compare(start, end, node);
      if (order === 0) return node.value;
      node = order < 0 ? node.left : node.right;
    }
    return undefined;
  }

  /** The interval must not be in the map. */
  add(start: string, end: string, value: Value): void {
    const priority = this.#nextPriority();
    this.#root = insert(this.#root, {
      start,
      end,
      value,
      priority,
      left: undefined,
      right: undefined,
      maxEnd: end,
    });
    this.#size += 1;
  }

  /** The interval must be in the map. */
  delete(start: string, end: string): void {
    this.#root = remove(this.#root, start, end);
    this.#size -= 1;
  }

  /** Appends to `found` the values of all intervals that contain `point`. */
  stab(point: string, found: Value[]): void {
    collect(this.#root, point, found);
  }

  *values(): IterableIterator<Value> {
    const path: Node<Value>[] = [];
    let node = this.#root;
    while (node !== undefined || path.length > 0) {
      while (node !== undefined) {
        path.push(node);
        node = node.left;
      }
      const next = path.pop();
      if (next === undefined) return;
      yield next.value;
      node = next.right;
    }
  }

  /** xorshift32 by Marsaglia. */
  #nextPriority(): number {
    let state = this.#priority;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#priority = state;
    return state;
  }
}

function compare<Value>(start: string, end: string, node: Node<Value>): number {
  if (start !== node.start) return start < node.start ? -1 : 1;
  if (end === node.end) return 0;
  return end < node.end ? -1 : 1;
}

/** Computes `maxEnd` from the children. */
function settle<Value>(node: Node<Value>): Node<Value> {
  let { end } = node;
  if (node.left !== undefined && node.left.maxEnd > end) end = node.left.maxEnd;
  if (node.right !== undefined && node.right.maxEnd > end) end = node.right.maxEnd;
  node.maxEnd = end;
  return node;
}

function insert<Value>(root: Node<Value> | undefined, added: Node<Value>): Node<Value> {
  if (root === undefined) return added;
  if (compare(added.start, added.end, root) < 0) {
    const left = insert(root.left, added);
    root.left = left;
    if (left.priority <= root.priority) return settle(root);
    root.left = left.right;
    left.right = settle(root);
    return settle(left);
  }
  const right = insert(root.right, added);
  root.right = right;
  if (right.priority <= root.priority) return settle(root);
  root.right = right.left;
  right.left = settle(root);
  return settle(right);
}

function remove<Value>(root: Node<Value> | undefined, start: string, end: string): Node<Value> | undefined {
  if (root === undefined) return undefined;
  const order = compare(start, end, root);
  if (order === 0) return merge(root.left, root.right);
  if (order < 0) root.left = remove(root.left, start, end);
  else root.right = remove(root.right, start, end);
  return settle(root);
}

/** Joins two trees. All intervals of the first come before those of the second. */
function merge<Value>(
  left: Node<Value> | undefined,
  right: Node<Value> | undefined,
): Node<Value> | undefined {
  if (left === undefined) return right;
  if (right === undefined) return left;
  if (left.priority > right.priority) {
    left.right = merge(left.right, right);
    return settle(left);
  }
  right.left = merge(left, right.left);
  return settle(right);
}

function collect<Value>(node: Node<Value> | undefined, point: string, found: Value[]): void {
  if (node === undefined || node.maxEnd <= point) return;
  collect(node.left, point, found);
  if (node.start > point) return;
  if (node.end > point) found.push(node.value);
  collect(node.right, point, found);
}
