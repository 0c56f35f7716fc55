import type { UsageSettings } from './config.ts';
import { quote } from './go-syntax.ts';
import type { FlagValues } from './value-kinds.ts';

/** Checks the flags of the usage by prefix. @returns the error text, or undefined when the flags are valid */
export function usageFault(values: FlagValues): string | undefined {
  const prefixes = values['keystead-usage-prefixes'];
  if (prefixes.some((prefix) => prefix === '' || prefix === '*'))
    return `--keystead-usage-prefixes ${quote(prefixes.join(','))} has an empty prefix`;
  const max = values['keystead-usage-max-prefixes'];
  const own = prefixes.filter((prefix) => !prefix.endsWith('/*')).length;
  if (own > max)
    return `--keystead-usage-prefixes has ${own} prefixes, more than --keystead-usage-max-prefixes (${max})`;
  return undefined;
}

/** @returns undefined when nothing is counted by prefix */
export function usageSettings(values: FlagValues): UsageSettings | undefined {
  const prefixes = values['keystead-usage-prefixes'];
  if (prefixes.length === 0) return undefined;
  return { prefixes, maxPrefixes: values['keystead-usage-max-prefixes'] };
}
