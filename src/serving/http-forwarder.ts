import type { Socket } from 'node:net';
import type { BatchReader } from './batch.ts';
import type { Link } from './link.ts';
import { ToCore, ToThread } from './records.ts';
import { describeClient } from './thread-connection.ts';

/** Bytes on their way to the core at which the socket is not read. */
const WINDOW_BYTES = 256 * 1024;
/** Time for a client to read what was written before its connection is closed. */
const CLOSE_MS = 5_000;

interface ForwardedHttp {
  readonly socket: Socket;
  untakenBytes: number;
}

/** Connections with HTTP/1.1: this thread does TLS, and the bytes go to and come from the HTTP server of the core. */
export class HttpForwarder {
  readonly #link: Link;
  readonly #open = new Map<number, ForwardedHttp>();
  #lastId = 0;

  constructor(link: Link) {
    this.#link = link;
  }

  serve(socket: Socket): void {
    const link = this.#link;
    const id = ++this.#lastId;
    const forwarded = { socket, untakenBytes: 0 };
    this.#open.set(id, forwarded);
    link.record(ToCore.HTTP, id).text(JSON.stringify(describeClient(socket)));
    socket.on('data', (chunk: Buffer) => {
      forwarded.untakenBytes += chunk.length;
      if (forwarded.untakenBytes >= WINDOW_BYTES) socket.pause();
      link.record(ToCore.HTTP_DATA, id).bytes(chunk, chunk.length);
    });
    socket.on('end', () => void link.record(ToCore.HTTP_END, id));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#open.delete(id);
      link.record(ToCore.HTTP_CLOSED, id);
    });
  }

  /** Reads a record of the core. False if it is of another kind. */
  onRecord(kind: number, id: number, reader: BatchReader): boolean {
    const forwarded = this.#open.get(id);
    switch (kind) {
      case ToThread.HTTP_DATA: {
        const chunk = reader.bytes();
        forwarded?.socket.write(chunk, () => this.#link.record(ToCore.HTTP_TAKEN, id).f64(chunk.length));
        return true;
      }
      case ToThread.HTTP_END:
        forwarded?.socket.end();
        return true;
      case ToThread.HTTP_CLOSE: {
        const gracefully = reader.u8() === 1;
        if (forwarded !== undefined) close(forwarded.socket, gracefully);
        return true;
      }
      case ToThread.HTTP_TAKEN: {
        const bytes = reader.f64();
        if (forwarded !== undefined) taken(forwarded, bytes);
        return true;
      }
      default:
        return false;
    }
  }

  /** Closes all connections. */
  close(): void {
    for (const { socket } of this.#open.values()) socket.destroy();
  }
}

function taken(forwarded: ForwardedHttp, bytes: number): void {
  forwarded.untakenBytes -= bytes;
  if (forwarded.untakenBytes < WINDOW_BYTES / 2 && forwarded.socket.isPaused()) forwarded.socket.resume();
}

function close(socket: Socket, gracefully: boolean): void {
  if (!gracefully) {
    socket.destroy();
    return;
  }
  const timer = setTimeout(() => socket.destroy(), CLOSE_MS);
  socket.once('close', () => clearTimeout(timer));
  socket.destroySoon();
}
