const END = ':';

/** Pads a value of the history to a size. The padding contains its length, so that a damaged value is detected. */
export function onTheWire(name: string, bytes: number): string {
  const head = `${name}${END}${bytes}${END}`;
  return bytes <= head.length ? name : head + '.'.repeat(bytes - head.length);
}

/** Reverses {@link onTheWire}, or returns what is wrong with the value. */
export function nameOf(value: string): string {
  const [name = '', bytes] = value.split(END, 2);
  if (bytes === undefined) return value;
  return onTheWire(name, Number(bytes)) === value ? name : `${name} (damaged, ${value.length} bytes)`;
}
