export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'panic' | 'fatal';

export type LogFields = Readonly<Record<string, unknown>>;

/** A time in a field, written as the times of the lines are. */
export class LogTime {
  /** Milliseconds since the epoch. */
  readonly wallMs: number;

  constructor(wallMs: number) {
    this.wallMs = wallMs;
  }
}

/** Structured logging: a constant message and named fields, in etcd's JSON shape in production. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}
