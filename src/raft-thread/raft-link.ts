import type { Scheduler } from '../ports/scheduler.ts';
import { BatchReader, BatchWriter } from '../serving/batch.ts';

/** News that can wait leave with the next batch, or after this time: a batch costs more than its records. */
const LATE_MS = 5;

/** One end of the channel between the member and raft. */
export class RaftLink {
  readonly #out = new BatchWriter();
  readonly #post: (batch: ArrayBuffer) => void;
  readonly #scheduler: Pick<Scheduler, 'after'>;
  /** Adds records to each batch before it leaves. */
  readonly #complete: (out: BatchWriter) => void;
  #isUrgent = false;
  #isLate = false;
  /** Number of batches that have left. */
  #sent = 0;
  #isTimerSet = false;

  constructor(options: {
    readonly post: (batch: ArrayBuffer) => void;
    readonly scheduler: Pick<Scheduler, 'after'>;
    readonly complete?: (out: BatchWriter) => void;
  }) {
    this.#post = options.post;
    this.#scheduler = options.scheduler;
    this.#complete = options.complete ?? (() => undefined);
  }

  /** Begins a record that leaves with the next flush. The caller writes its fields at once. */
  record(kind: number): BatchWriter {
    this.#isUrgent = true;
    return this.lateRecord(kind);
  }

  /** Begins a record that can wait for others. `late` is to be called afterwards. */
  lateRecord(kind: number): BatchWriter {
    this.#out.u8(kind);
    return this.#out;
  }

  /** Sends the records so far if one of them is urgent. */
  flush(): void {
    if (this.#isUrgent) this.#send();
  }

  /** Sends what there is after some milliseconds, if nothing else is sent before. */
  late(): void {
    this.#isLate = true;
    if (!this.#isTimerSet) this.#startTimer();
  }

  /** One timer at a time: under load, news would start one in each turn, and the oldest would send the newest. */
  #startTimer(): void {
    const sent = this.#sent;
    this.#isTimerSet = true;
    this.#scheduler.after(LATE_MS, () => {
      this.#isTimerSet = false;
      if (!this.#isLate) return;
      if (this.#sent === sent) this.#send();
      else this.#startTimer();
    });
  }

  #send(): void {
    this.#isUrgent = false;
    this.#isLate = false;
    this.#sent += 1;
    this.#complete(this.#out);
    if (this.#out.length > 0) this.#post(this.#out.take());
  }
}

/** Calls back with each record of a batch. */
export function readRecords(batch: ArrayBuffer, onRecord: (kind: number, reader: BatchReader) => void): void {
  for (const reader = new BatchReader(batch); !reader.atEnd;) onRecord(reader.u8(), reader);
}
