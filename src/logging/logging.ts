import type { LogFields, Logger, LogLevel } from '../ports/logger.ts';
import { consoleLine, jsonLine } from './line-format.ts';
import { RotatingSink, type RotationOptions } from './rotating-sink.ts';
import { Sampler } from './sampler.ts';
import { DescriptorSink, FileSink, type Sink } from './sinks.ts';

/*
 * Our own writer instead of pino. pino costs 17 ms and 8 MB at every start, more than all else in start-up, for one
 * line of JSON in a fixed order.
 */

export interface LoggingOptions {
  readonly level: LogLevel;
  readonly format: 'json' | 'console';
  /** `default` and `stderr`, `stdout`, `systemd/journal`, or file paths. */
  readonly outputs: readonly string[];
  readonly rotation?: RotationOptions | undefined;
}

const severity: Readonly<Record<LogLevel, number>> = {
  debug: 0,
  info: 1,
  warn: 2,
  error: 3,
  panic: 4,
  fatal: 5,
};

/** All loggers of the process, and their shared outputs. */
export class Logging {
  readonly #least: number;
  readonly #json: boolean;
  readonly #sinks: readonly Sink[];
  readonly #sampler = new Sampler();

  /** @throws if an output cannot be opened */
  constructor({ level, format, outputs, rotation }: LoggingOptions) {
    this.#least = severity[level];
    this.#json = format === 'json';
    this.#sinks = openSinks(outputs, rotation);
  }

  /** The logging before the configuration is known: JSON at level info to stderr. */
  static early(): Logging {
    return new Logging({ level: 'info', format: 'json', outputs: ['default'] });
  }

  /** A logger whose lines name `caller`, a source file as `module/file.ts`. */
  for(caller: string): Logger {
    return {
      debug: (message, fields) => this.write('debug', caller, message, fields),
      info: (message, fields) => this.write('info', caller, message, fields),
      warn: (message, fields) => this.write('warn', caller, message, fields),
      error: (message, fields) => this.write('error', caller, message, fields),
    };
  }

  write(level: LogLevel, caller: string, message: string, fields?: LogFields): void {
    if (severity[level] < this.#least) return;
    const wallMs = performance.timeOrigin + performance.now();
    if (!this.#sampler.admits(level, message, wallMs)) return;
    const line = { level, wallMs, caller, message, fields };
    const text = this.#json ? jsonLine(line) : consoleLine(line);
    for (const sink of this.#sinks) sink.write(text);
  }

  close(): void {
    for (const sink of this.#sinks) sink.close();
  }
}

function openSinks(outputs: readonly string[], rotation: RotationOptions | undefined): Sink[] {
  const names = new Set(outputs.map((output) => streamName(output)));
  // Also /dev/null, which discards everything, as in etcd.
  if (names.has('/dev/null')) return [];
  return [...names].map((name) => {
    if (name === 'stdout') return new DescriptorSink(1);
    if (name === 'stderr') return new DescriptorSink(2);
    return rotation === undefined ? new FileSink(name) : new RotatingSink(name, rotation);
  });
}

/**
 * The journal's own protocol needs datagram Unix sockets, which Node.js does not have. A service's stderr goes to the
 * journal, so the lines are written there.
 */
function streamName(output: string): string {
  return output === 'default' || output === 'systemd/journal' ? 'stderr' : output;
}
