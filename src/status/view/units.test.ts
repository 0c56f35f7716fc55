import { expect, it } from 'vitest';
import {
  ageText,
  bytesText,
  durationText,
  millisecondsText,
  percentText,
  rateText,
  timeText,
} from './units.ts';

it.each([
  [bytesText, 0, '0 B'],
  [bytesText, 1023, '1023 B'],
  [bytesText, 1536, '1.5 KiB'],
  [bytesText, 300 * 2 ** 20, '300 MiB'],
  [bytesText, 5 * 2 ** 40, '5.0 TiB'],
  [millisecondsText, 0, '0.00 ms'],
  [millisecondsText, 0.456, '0.46 ms'],
  [millisecondsText, 4.56, '4.6 ms'],
  [millisecondsText, 456.7, '457 ms'],
  [millisecondsText, 1456, '1.5 s'],
  [millisecondsText, 65_000, '65 s'],
  [durationText, 59.9, '59 s'],
  [durationText, 60, '1 min'],
  [durationText, 3 * 3600 + 125, '3 h 2 min'],
  [durationText, 90_000, '1 d 1 h'],
  [ageText, -5000, '0 s ago'],
  [ageText, 119_000, '1 min ago'],
  [ageText, 47 * 3_600_000, '47 h ago'],
  [ageText, 49 * 3_600_000, '2 d ago'],
  [rateText, 0, '0/s'],
  [rateText, 0.25, '0.3/s'],
  [rateText, 12_345.6, '12,346/s'],
  [percentText, 0.0123, '1.2 %'],
  [percentText, 0.954, '95 %'],
])('%o of %d is %s', (format, value, text) => expect(format(value)).toBe(text));

it('a time has the date if it is another day', () => {
  const now = Date.UTC(2026, 10, 22, 0, 10);
  expect(timeText(now, now)).toBe('00:10:00 UTC');
  expect(timeText(now - 3_600_000, now)).toBe('2026-11-21 23:10:00 UTC');
});
