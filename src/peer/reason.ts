/** The text of an error, for logs and responses. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
