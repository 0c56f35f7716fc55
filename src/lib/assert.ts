/** A violated invariant. To continue would corrupt data, so the top level of the program ends the process. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/**
 * Checks an invariant of the program, in production too. Never use it for client input: bad input is refused with an
 * error.
 *
 * @throws InvariantError that names the invariant
 */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) throw new InvariantError(`invariant violated: ${invariant}`);
}

/** Narrows `value` to non-nullish, where the program's own state guarantees it. */
export function defined<T>(value: T | null | undefined, invariant: string): T {
  if (value === undefined || value === null) throw new InvariantError(`invariant violated: ${invariant}`);
  return value;
}
