/**
 * Turns long numbers in JSON text into strings: IDs have up to 64 bits, and `JSON.parse` would round them.
 *
 * Strings are matched first, so that digits in them do not change. An unterminated string is matched too, because
 * otherwise the search would start again at each of its quotes.
 */
export function quoteLongNumbers(text: string): string {
  return text.replace(/"(?:[^"\\]|\\[^])*(?:"|\\?$)|\d{16,}/g, (token) =>
    token.startsWith('"') ? token : `"${token}"`,
  );
}
