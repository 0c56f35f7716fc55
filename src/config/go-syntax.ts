/**
 * The value syntax of Go's `flag` and `strconv` packages, with their error texts. Users of etcd write flags and
 * environment variables in it.
 */

/** A value has the wrong syntax for its flag. The message is the text that Go prints after the colon. */
export class FlagValueError extends Error {
  override readonly name = 'FlagValueError';
}

const trueTexts = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);
const falseTexts = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False']);

/** @returns undefined when the text is not one of Go's boolean words */
export function parseGoBool(text: string): boolean | undefined {
  if (trueTexts.has(text)) return true;
  if (falseTexts.has(text)) return false;
  return undefined;
}

export type IntegerFault = 'syntax' | 'range';

const integerForms: readonly [RegExp, bigint][] = [
  [/^0[xX](_?[0-9a-fA-F])+$/, 16n],
  [/^0[bB](_?[01])+$/, 2n],
  [/^0[oO](_?[0-7])+$/, 8n],
  [/^0(_?[0-7])+$/, 8n],
  [/^(0|[1-9](_?[0-9])*)$/, 10n],
];

/** Parses a Go integer literal. With `signed` it may have a sign. The value must fit in `bits` bits. */
export function parseGoInteger(
  text: string,
  { bits, signed }: { bits: number; signed: boolean },
): bigint | IntegerFault {
  let digits = text;
  let negative = false;
  if (signed && (text.startsWith('-') || text.startsWith('+'))) {
    negative = text.startsWith('-');
    digits = text.slice(1);
  }
  const form = integerForms.find(([pattern]) => pattern.test(digits));
  if (form === undefined) return 'syntax';
  const magnitude = magnitudeOf(digits, form[1]);
  const value = negative ? -magnitude : magnitude;
  const limit = 1n << BigInt(signed ? bits - 1 : bits);
  const floor = signed ? -limit : 0n;
  return value < limit && value >= floor ? value : 'range';
}

function magnitudeOf(digits: string, base: bigint): bigint {
  const bare = digits.replaceAll('_', '').toLowerCase();
  const body = base === 10n ? bare : bare.replace(/^0[xbo]?/, '');
  let value = 0n;
  for (const digit of body) value = value * base + BigInt(Number.parseInt(digit, 16));
  return value;
}

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/** Largest duration Go can hold, in milliseconds: 2^63 nanoseconds. */
const MAX_DURATION_MS = 9_223_372_036_854;

/**
 * Parses a duration such as `1h30m` or `1.5s`.
 *
 * @returns milliseconds; undefined when Go would not parse the text
 */
export function parseGoDuration(text: string): number | undefined {
  let rest = text;
  let sign = 1;
  if (rest.startsWith('-') || rest.startsWith('+')) {
    sign = rest.startsWith('-') ? -1 : 1;
    rest = rest.slice(1);
  }
  if (rest === '0') return 0;
  let totalMs = 0;
  const part = /^(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/;
  while (rest !== '') {
    const match = part.exec(rest);
    const unit = unitMs[match?.[2] ?? ''];
    if (match === null || unit === undefined) return undefined;
    totalMs += Number(match[1]) * unit;
    rest = rest.slice(match[0].length);
  }
  if (text === '' || text === '-' || text === '+' || totalMs > MAX_DURATION_MS) return undefined;
  return sign * totalMs;
}

/** Formats a duration as Go does: `1h0m0s`, `1.5s`, `100ms`, `0s`. */
export function formatGoDuration(ms: number): string {
  if (ms === 0) return '0s';
  const sign = ms < 0 ? '-' : '';
  const rest = Math.abs(ms);
  if (rest < 1e-3) return `${sign}${Math.round(rest * 1e6)}ns`;
  if (rest < 1) return `${sign}${trimDecimal(rest * 1e3)}µs`;
  if (rest < 1_000) return `${sign}${trimDecimal(rest)}ms`;
  const hours = Math.floor(rest / 3_600_000);
  const minutes = Math.floor((rest % 3_600_000) / 60_000);
  const seconds = trimDecimal((rest % 60_000) / 1_000);
  if (hours > 0) return `${sign}${hours}h${minutes}m${seconds}s`;
  return minutes > 0 ? `${sign}${minutes}m${seconds}s` : `${sign}${seconds}s`;
}

function trimDecimal(value: number): string {
  return String(Number(value.toFixed(9)));
}

/** Quotes a string as Go's %q does. */
export function quote(text: string): string {
  return JSON.stringify(text)
    .replaceAll('\u007f', '\\x7f')
    .replace(/(?<!\\)((?:\\\\)*)\\u00([01][0-9a-f])/g, (_, before: string, code: string) => {
      const letter = { '07': 'a', '0b': 'v' }[code] ?? `x${code}`;
      return `${before}\\${letter}`;
    });
}
