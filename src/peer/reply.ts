import type { ServerResponse } from 'node:http';

/** Sends a plain text and a newline, as Go's `http.Error` does. Clients compare the text. */
export function replyError(response: ServerResponse, status: number, text: string): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'X-Content-Type-Options': 'nosniff',
    'Content-Length': Buffer.byteLength(text) + 1,
  });
  response.end(`${text}\n`);
}

/** Sends a JSON object with a message. */
export function replyMessage(response: ServerResponse, status: number, message: string): void {
  replyBody(response, { status, type: 'application/json', body: JSON.stringify({ message }) });
}

export function replyBody(
  response: ServerResponse,
  { status = 200, type, body }: { status?: number; type: string; body: string | Buffer },
): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
}

export function replyMethodNotAllowed(response: ServerResponse, allowed: string): void {
  response.setHeader('Allow', allowed);
  replyError(response, 405, 'Method Not Allowed');
}
