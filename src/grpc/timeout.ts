const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/**
 * Parses a `grpc-timeout` value (at most eight digits and a unit) into milliseconds. Returns a string with the reason
 * if it is malformed.
 */
export function parseTimeout(value: string): number | string {
  const size = value.length;
  if (size < 2) return `transport: timeout string is too short: ${JSON.stringify(value)}`;
  if (size > 9) return `transport: timeout string is too long: ${JSON.stringify(value)}`;
  const unit = UNIT_MS[value.charAt(size - 1)];
  if (unit === undefined) return `transport: timeout unit is not recognized: ${JSON.stringify(value)}`;
  const digits = value.slice(0, -1);
  if (!/^\d+$/.test(digits)) return `strconv.ParseUint: parsing ${JSON.stringify(digits)}: invalid syntax`;
  return Number(digits) * unit;
}
