import type { LogFields, LogLevel } from '../ports/logger.ts';

/** A log line from before there is a logger; whoever starts the server writes them once there is. */
export interface StartLine {
  readonly level: LogLevel;
  readonly caller: string;
  readonly message: string;
  readonly fields?: LogFields;
}
