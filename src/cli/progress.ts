import { bytesText } from '../lib/text.ts';

/** Where progress is shown. */
export interface ProgressTerminal {
  /** Undefined or false for a file or a pipe: nothing is shown then. */
  readonly isTTY?: boolean;
  /** 0 if the terminal does not tell it, as in a container without a window. */
  readonly columns?: number;
  write(text: string): unknown;
}

/** Pause between two lines, in milliseconds. */
const INTERVAL_MS = 100;
const BAR_CHARS = 24;
/** Of a terminal that does not tell its own. */
const USUAL_COLUMNS = 80;
const CLEAR_LINE = '\r\x1b[K';

/**
 * One line on a terminal that shows how far some work is: a bar where the end is known, otherwise the count. It is written
 * over itself and removed at the end. On anything else than a terminal nothing is written.
 */
export class Progress {
  readonly #terminal: ProgressTerminal;
  readonly #now: () => number;
  #title = '';
  #startedMs = 0;
  #shownMs = -Infinity;
  #isShown = false;

  constructor(terminal: ProgressTerminal = process.stderr, now: () => number = () => performance.now()) {
    this.#terminal = terminal;
    this.#now = now;
  }

  /**
   * Shows the state of a piece of work. Another title begins another piece.
   *
   * @param title what is done, such as `importing`
   * @param unit the noun for what is counted, or `bytes`
   * @param total undefined if it is not known
   */
  show(title: string, unit: string, done: number, total?: number): void {
    if (this.#terminal.isTTY !== true) return;
    const nowMs = this.#now();
    if (title !== this.#title) {
      this.#title = title;
      this.#startedMs = nowMs;
      this.#shownMs = -Infinity;
    }
    if (nowMs - this.#shownMs < INTERVAL_MS) return;
    this.#shownMs = nowMs;
    this.#isShown = true;
    const line = progressLine({ title, unit, done, total, seconds: (nowMs - this.#startedMs) / 1000 });
    const { columns = 0 } = this.#terminal;
    this.#terminal.write(CLEAR_LINE + line.slice(0, (columns > 0 ? columns : USUAL_COLUMNS) - 1));
  }

  /** Removes the line. Call it before anything else is printed. */
  end(): void {
    if (this.#isShown) this.#terminal.write(CLEAR_LINE);
    this.#isShown = false;
    this.#title = '';
  }
}

interface State {
  readonly title: string;
  readonly unit: string;
  readonly done: number;
  readonly total: number | undefined;
  readonly seconds: number;
}

export function progressLine({ title, unit, done, total, seconds }: State): string {
  const amount = (count: number): string =>
    unit === 'bytes' ? bytesText(count) : Math.round(count).toLocaleString('en-US');
  const noun = unit === 'bytes' ? '' : ` ${unit}`;
  const perSecond = seconds > 0 ? done / seconds : 0;
  const rate = perSecond > 0 ? `  ${amount(perSecond)}/s` : '';
  if (total === undefined || total <= 0) return `${title}  ${amount(done)}${noun}${rate}`;
  const share = Math.min(1, done / total);
  const full = Math.floor(share * BAR_CHARS);
  const bar = '#'.repeat(full) + '-'.repeat(BAR_CHARS - full);
  const left = perSecond > 0 && share < 1 ? `  ${durationText((total - done) / perSecond)} left` : '';
  const percent = String(Math.floor(share * 100)).padStart(3);
  return `${title}  [${bar}] ${percent} %  ${amount(done)} of ${amount(total)}${noun}${rate}${left}`;
}

function durationText(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  return whole < 3600 ? `${Math.ceil(whole / 60)} min` : `${(whole / 3600).toFixed(1)} h`;
}
