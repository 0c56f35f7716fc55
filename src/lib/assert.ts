/** A violated invariant: running on would corrupt data, so whoever catches it at the top ends the process. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/**
 * Holds an invariant of the program, in production too. Never for client input, which is refused with an error.
 *
 * @throws InvariantError naming the invariant
 */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) throw new InvariantError(`invariant violated: ${invariant}`);
}

/** Narrows `value` to non-nullish where the program's own state guarantees it. */
export function defined<T>(value: T | null | undefined, invariant: string): T {
  if (value === undefined || value === null) throw new InvariantError(`invariant violated: ${invariant}`);
  return value;
}
