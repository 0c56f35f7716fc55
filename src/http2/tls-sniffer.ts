import type { Socket } from 'node:net';

/** The first byte of a TLS handshake (RFC 8446 section 5.1). No HTTP request starts with it. */
const TLS_HANDSHAKE = 0x16;

/**
 * Detects by the first byte whether a client starts TLS. `decided` is called with the socket paused and all bytes
 * unread. A client that sends nothing within `timeoutMs`, or disconnects, is closed.
 */
export function sniffTls(socket: Socket, decided: (isTls: boolean) => void, timeoutMs: number): void {
  const drop = (): void => {
    socket.destroy();
  };
  const timer = setTimeout(drop, timeoutMs);
  const release = (): void => {
    clearTimeout(timer);
    socket.off('data', onData);
    socket.off('end', drop);
    socket.off('close', release);
  };
  const onData = (chunk: Buffer): void => {
    release();
    socket.pause();
    socket.unshift(chunk);
    decided(chunk[0] === TLS_HANDSHAKE);
  };
  socket.on('data', onData);
  socket.on('end', drop);
  socket.on('close', release);
  socket.resume();
}
