/**
 * Spreads leases that would expire in the same second after a change of leader: beyond three quarters of
 * `ratePerSecond` in a window of a second, each further lease is delayed in proportion to its place in the pile.
 *
 * @param remainingMs time to expiry of each lease, ascending
 * @param delay called with the index of a lease and the milliseconds it should live longer
 */
export function spreadExpiries(
  remainingMs: readonly number[],
  ratePerSecond: number,
  delay: (index: number, delayMs: number) => void,
): void {
  const target = Math.floor((3 * ratePerSecond) / 4);
  let base = remainingMs[0] ?? 0;
  let windowEnd = base + 1000;
  let inWindow = 0;
  for (const [index, remaining] of remainingMs.entries()) {
    if (remaining > windowEnd) {
      base = remaining;
      windowEnd = base + 1000;
      inWindow = 1;
      continue;
    }
    inWindow++;
    if (inWindow <= target) continue;
    // A lease that is already some way into the window needs that much less of a delay.
    const delayMs = (1000 * inWindow) / target - (remaining - base);
    windowEnd = base + delayMs;
    delay(index, delayMs);
  }
}
