import type { Socket } from 'node:net';
import { PREFACE } from './constants.ts';

/** Handlers for a connection when its protocol is known. At most one of them is called, once. */
export interface ProtocolChoice {
  /** The socket still has all bytes to read, from the preface on. */
  http2(socket: Socket): void;
  http1(socket: Socket): void;
}

/** A longer request line is not accepted. */
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
 * Decides by the first bytes whether a connection uses HTTP/2 with prior knowledge or HTTP/1.1. The decision is made
 * once, before any byte is interpreted, and is final: a later `Upgrade: h2c` is just a header. A connection is closed
 * if its protocol is another one, or is unknown after `timeoutMs`.
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
