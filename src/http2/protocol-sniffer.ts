import type { Socket } from 'node:net';
import { PREFACE } from './constants.ts';

/** Where a connection goes once its protocol is known; exactly one is called, at most once. */
export interface ProtocolChoice {
  /** The socket holds its bytes still, from the preface on. */
  http2(socket: Socket): void;
  http1(socket: Socket): void;
}

/** A longer request line than this is no request for this server. */
const MAX_REQUEST_LINE_BYTES = 16 * 1024;

const REQUEST_LINE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+ \S+ HTTP\/1\.[01]\r?$/;

function recognize(seen: Buffer): 'http2' | 'http1' | 'neither' | undefined {
  const length = Math.min(seen.length, PREFACE.length);
  if (PREFACE.compare(seen, 0, length, 0, length) === 0) return length < PREFACE.length ? undefined : 'http2';
  // Empty lines before a request line are allowed (RFC 9112 section 2.2).
  let from = 0;
  while (seen[from] === 0x0d || seen[from] === 0x0a) from++;
  const newline = seen.indexOf(0x0a, from);
  if (newline < 0) return seen.length > MAX_REQUEST_LINE_BYTES ? 'neither' : undefined;
  return REQUEST_LINE.test(seen.toString('latin1', from, newline)) ? 'http1' : 'neither';
}

/**
 * Decides by the first bytes whether a connection speaks HTTP/2 with prior knowledge or HTTP/1.1. The decision is
 * made once, before any byte is interpreted, and holds for the connection: an `Upgrade: h2c` later is just a header.
 * A client that does not show a protocol within `timeoutMs`, or shows another one, is dropped.
 */
export function sniffProtocol(socket: Socket, choice: ProtocolChoice, timeoutMs: number): void {
  let seen: Buffer | undefined;
  const drop = (): void => {
    socket.destroy();
  };
  const timer = setTimeout(drop, timeoutMs);
  const onData = (chunk: Buffer): void => {
    seen = seen === undefined ? chunk : Buffer.concat([seen, chunk]);
    const protocol = recognize(seen);
    if (protocol === undefined) return;
    release();
    if (protocol === 'neither') {
      socket.destroy();
      return;
    }
    socket.pause();
    socket.unshift(seen);
    choice[protocol](socket);
    socket.resume();
  };
  const release = (): void => {
    clearTimeout(timer);
    socket.off('data', onData);
    socket.off('end', drop);
    socket.off('close', release);
  };
  socket.on('error', drop);
  socket.on('end', drop);
  socket.on('close', release);
  socket.on('data', onData);
}
