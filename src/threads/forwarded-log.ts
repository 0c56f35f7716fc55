import type { LogFields, Logger, LogLevel } from '../ports/logger.ts';

/** A message of a worker thread: the main thread writes this line to the log. */
export interface ForwardedLine {
  readonly kind: 'log';
  readonly level: LogLevel;
  readonly caller: string;
  readonly message: string;
  readonly fields: LogFields | undefined;
}

/** A logger in a worker thread, whose lines the main thread writes. */
export function forwardingLogger(caller: string, send: (line: ForwardedLine) => void): Logger {
  const write =
    (level: LogLevel) =>
    (message: string, fields?: LogFields): void =>
      send({ kind: 'log', level, caller, message, fields });
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}
