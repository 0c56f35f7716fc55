/**
 * JSON text with its long numbers made strings: ids have up to 64 bits, and `JSON.parse` would round them.
 *
 * Strings are matched first, so that digits within them stay as they are; one without an end is matched too, as it
 * would be looked for again from each quote in it.
 */
export function quoteLongNumbers(text: string): string {
  return text.replace(/"(?:[^"\\]|\\[^])*(?:"|\\?$)|\d{16,}/g, (token) =>
    token.startsWith('"') ? token : `"${token}"`,
  );
}
