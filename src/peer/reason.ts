/** What went wrong, for logs and answers. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
