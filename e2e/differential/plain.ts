/** A readable and comparable form of messages: bytes as text, 64-bit ids as text. */
export function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`;
  if (value instanceof Uint8Array)
    return readable(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]));
  }
  return value;
}

function readable(bytes: Buffer): string {
  const text = bytes
    .toString('latin1')
    .replaceAll(/[^\x20-\x7e]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return text.length <= 80
    ? text
    : `${text.slice(0, 60)}... (${bytes.length} bytes, sum ${bytes.reduce((sum, byte) => (sum * 31 + byte) % 1_000_003, 7)})`;
}
