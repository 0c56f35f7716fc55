const REMEMBERED = 64;

/** Ids of streams closed lately, to tell a late frame from one on a stream that never was. */
export class ClosedStreams {
  readonly #ring = new Int32Array(REMEMBERED);
  #next = 0;

  /** `lateFrames`: this side ended the stream, so the client may rightly have sent more before it learned of it. */
  add(streamId: number, lateFrames: boolean): void {
    this.#ring[this.#next] = lateFrames ? -streamId : streamId;
    this.#next = (this.#next + 1) % REMEMBERED;
  }

  /** Late frames on this stream are to be ignored. */
  expectsLateFrames(streamId: number): boolean {
    return this.#ring.includes(-streamId);
  }

  /** The client itself ended or reset this stream. */
  endedByClient(streamId: number): boolean {
    return this.#ring.includes(streamId);
  }
}
