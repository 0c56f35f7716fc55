import { enums } from './gen/descriptors.ts';

const enumNames = new Map<string, ReadonlyMap<number, string>>();

/** Returns the JSON text of an enum value: its name in quotes, or the number if it has no name. */
export function enumText(type: string, value: number): string {
  let names = enumNames.get(type);
  if (names === undefined) {
    names = new Map(Object.entries(enums[type] ?? {}).map(([name, number]) => [number, name]));
    enumNames.set(type, names);
  }
  const name = names.get(value);
  return name === undefined ? String(value) : `"${name}"`;
}
