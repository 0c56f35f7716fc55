import type { Socket } from 'node:net';
import { PREFACE } from './constants.ts';

/** Where a connection goes once its protocol is known; exactly one is called, at most once. */
export interface ProtocolChoice {
  /** The socket holds its bytes still, from the preface on. */
  http2(socket: Socket): void;
  http1(socket: Socket): void;
}

/**
 * Decides by the first bytes whether a connection speaks HTTP/2 with prior knowledge or HTTP/1.1. The decision is
 * made once, before any byte is interpreted, and holds for the connection: an `Upgrade: h2c` later is just a header.
 * A client that does not show its protocol within `timeoutMs` is dropped.
 */
export function sniffProtocol(socket: Socket, choice: ProtocolChoice, timeoutMs: number): void {
  let seen: Buffer | undefined;
  const drop = (): void => {
    socket.destroy();
  };
  const timer = setTimeout(drop, timeoutMs);
  const onData = (chunk: Buffer): void => {
    seen = seen === undefined ? chunk : Buffer.concat([seen, chunk]);
    const length = Math.min(seen.length, PREFACE.length);
    const matches = PREFACE.compare(seen, 0, length, 0, length) === 0;
    if (matches && length < PREFACE.length) return;
    release();
    socket.pause();
    socket.unshift(seen);
    if (matches) choice.http2(socket);
    else choice.http1(socket);
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
