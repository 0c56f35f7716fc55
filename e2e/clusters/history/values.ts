const END = ':';

/** A value of the history, padded to a size. The padding says how long it is, so that a damaged value is found. */
export function onTheWire(name: string, bytes: number): string {
  const head = `${name}${END}${bytes}${END}`;
  return bytes <= head.length ? name : head + '.'.repeat(bytes - head.length);
}

/** What {@link onTheWire} was told, or what is wrong with the value. */
export function nameOf(value: string): string {
  const [name = '', bytes] = value.split(END, 2);
  if (bytes === undefined) return value;
  return onTheWire(name, Number(bytes)) === value ? name : `${name} (damaged, ${value.length} bytes)`;
}
