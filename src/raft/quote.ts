const escapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\u0007': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
};

/** Bytes as a double-quoted string: printable UTF-8 as it is, everything else escaped, as Go's `%q` shows it. */
export function quote(data: Buffer): string {
  let text = '';
  for (let at = 0; at < data.length;) {
    const length = sequenceLength(data, at);
    if (length === 0) {
      text += `\\x${(data[at] ?? 0).toString(16).padStart(2, '0')}`;
      at++;
      continue;
    }
    text += quoteCharacter(data.toString('utf8', at, at + length));
    at += length;
  }
  return `"${text}"`;
}

/** Bytes of the UTF-8 character at `at`, or 0 if there is none. */
function sequenceLength(data: Buffer, at: number): number {
  const lead = data[at] ?? 0;
  const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  const bytes = data.subarray(at, at + length);
  return Buffer.from(bytes.toString('utf8')).equals(bytes) ? length : 0;
}

function quoteCharacter(character: string): string {
  const escaped = escapes[character];
  if (escaped !== undefined) return escaped;
  const code = character.codePointAt(0) ?? 0;
  if (code >= 0x20 && code < 0x7f) return character;
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`;
  if (/^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(character)) return character;
  return code < 0x1_0000
    ? `\\u${code.toString(16).padStart(4, '0')}`
    : `\\U${code.toString(16).padStart(8, '0')}`;
}
