const REMEMBERED = 64;

/** Ids of recently closed streams, to distinguish a late frame from a frame on a stream that never existed. */
export class ClosedStreams {
  readonly #ring = new Int32Array(REMEMBERED);
  #next = 0;

  /** `lateFrames`: this side ended the stream, so the client may have sent more frames before it knew. */
  add(streamId: number, lateFrames: boolean): void {
    this.#ring[this.#next] = lateFrames ? -streamId : streamId;
    this.#next = (this.#next + 1) % REMEMBERED;
  }

  /** Whether late frames on this stream must be ignored. */
  expectsLateFrames(streamId: number): boolean {
    return this.#ring.includes(-streamId);
  }

  /** Whether the client itself ended or reset this stream. */
  endedByClient(streamId: number): boolean {
    return this.#ring.includes(streamId);
  }
}
