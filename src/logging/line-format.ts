import { type LogFields, type LogLevel, LogTime } from '../ports/logger.ts';

export interface LogLine {
  readonly level: LogLevel;
  /** Milliseconds since the epoch; the fraction gives the microseconds. */
  readonly wallMs: number;
  /** The source file of the line, as `module/file.ts`. */
  readonly caller: string;
  readonly message: string;
  readonly fields: LogFields | undefined;
}

/** One line of JSON, with its keys in the order of etcd's logger. */
export function jsonLine(line: LogLine): string {
  const { level, caller, message, fields } = line;
  let text = `{"level":"${level}","ts":"${timestamp(line.wallMs)}","caller":${JSON.stringify(caller)},"msg":${JSON.stringify(message)}`;
  if (fields !== undefined) {
    for (const [key, value] of Object.entries(fields)) {
      if (value !== undefined) text += `,${JSON.stringify(key)}:${jsonValue(value)}`;
    }
  }
  return `${text}}\n`;
}

/** A line for people: columns separated by tabs, with the fields as spaced JSON at the end. */
export function consoleLine(line: LogLine): string {
  const { level, caller, message, fields } = line;
  const head = `${timestamp(line.wallMs)}\t${level}\t${caller}\t${message}`;
  const pairs = Object.entries(fields ?? {})
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${JSON.stringify(key)}: ${spacedValue(value)}`);
  return pairs.length === 0 ? `${head}\n` : `${head}\t{${pairs.join(', ')}}\n`;
}

function jsonValue(value: unknown): string {
  const text = JSON.stringify(plain(value), (_key, nested: unknown) => plain(nested)) as string | undefined;
  return text ?? 'null';
}

function spacedValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spacedValue).join(', ')}]`;
  return jsonValue(value);
}

/** Errors become their message. 64-bit IDs become decimal text, because JSON numbers would round them. */
function plain(value: unknown): unknown {
  if (value instanceof Error) return value.message;
  if (value instanceof LogTime) return timestamp(value.wallMs);
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value];
  return value;
}

/** `2026-11-20T22:00:00.000000Z`, or local time with the offset if the time zone is not UTC. */
export function timestamp(wallMs: number): string {
  const offsetMinutes = -new Date(wallMs).getTimezoneOffset();
  const whole = Math.floor(wallMs);
  const micros = Math.floor((wallMs - whole) * 1_000);
  const iso = new Date(whole + offsetMinutes * 60_000).toISOString().slice(0, 23);
  return `${iso}${String(micros).padStart(3, '0')}${offsetText(offsetMinutes)}`;
}

function offsetText(minutes: number): string {
  if (minutes === 0) return 'Z';
  const absolute = Math.abs(minutes);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(absolute / 60))}${two(absolute % 60)}`;
}
