import type { LogFields, LogLevel } from '../ports/logger.ts';

/** A log line from before the logger exists. It is written as soon as the logger is created. */
export interface EarlyLogLine {
  readonly level: LogLevel;
  readonly caller: string;
  readonly message: string;
  readonly fields?: LogFields;
}
