/** The ID of a member, cluster or lease as etcd prints it: lower-case hexadecimal without leading zeros. */
export function hex(id: bigint): string {
  return id.toString(16);
}

/** The text of anything that was thrown, for logs and responses. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** JSON with the same five characters escaped as by Go's encoder, so that the bytes are the same as etcd's. */
export function goJson(value: string | readonly string[]): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** With a binary unit, such as `1.5 MiB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ''}`;
}
