import type { Logger } from '../../ports/logger.ts';

const levels = ['DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL', 'NONE'];

/** Collects what a script's command puts out: its own lines and the log lines of the nodes. */
export class Trace implements Logger {
  #text = '';
  level = 0;

  /** @throws RangeError for a level that does not exist */
  setLevel(name: string): void {
    const level = levels.indexOf(name.toUpperCase());
    if (level < 0) throw new RangeError(`log levels must be either of [${levels.join(' ')}]`);
    this.level = level;
  }

  /** Level NONE silences everything but errors of commands. */
  get quiet(): boolean {
    return this.level === levels.length - 1;
  }

  write(text: string): void {
    if (!this.quiet) this.#text += text;
  }

  /** @returns what was collected since the last call */
  take(): string {
    const text = this.#text;
    this.#text = '';
    return text;
  }

  /** Runs `body` with its output indented. */
  indented(body: () => void): void {
    const before = this.take();
    try {
      body();
    } finally {
      const lines = this.take().split('\n');
      if (lines.at(-1) === '') lines.pop();
      this.#text = before + lines.map((line) => `  ${line}\n`).join('');
    }
  }

  debug(message: string): void {
    this.#log(0, message);
  }

  info(message: string): void {
    this.#log(1, message);
  }

  warn(message: string): void {
    this.#log(2, message);
  }

  error(message: string): void {
    this.#log(3, message);
  }

  #log(level: number, message: string): void {
    if (this.level <= level) this.write(`${levels[level] ?? ''} ${message}\n`);
  }
}
