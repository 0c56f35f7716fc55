import type { ByteSource } from '../http2/stream.ts';

/** A message of which the core sends parts as the client takes them. */
export class RemoteSource implements ByteSource {
  readonly #taken: (bytes: number) => void;
  readonly #dropped: () => void;
  #chunks: Buffer[] = [];

  constructor(taken: (bytes: number) => void, dropped: () => void) {
    this.#taken = taken;
    this.#dropped = dropped;
  }

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
  }

  read(maxBytes: number): Buffer[] | undefined {
    if (this.#chunks.length === 0) return undefined;
    const taken: Buffer[] = [];
    let bytes = 0;
    while (this.#chunks.length > 0 && bytes < maxBytes) {
      const chunk = this.#chunks.shift() as Buffer;
      taken.push(chunk);
      bytes += chunk.length;
    }
    this.#taken(bytes);
    return taken;
  }

  dropped(): void {
    this.#chunks = [];
    this.#dropped();
  }
}
