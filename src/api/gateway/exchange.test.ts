import { Socket } from 'node:net';
import { afterEach, expect, it, vi } from 'vitest';
import { GrpcServer } from '../../grpc/server.ts';
import { Lease } from '../../wire/services.ts';
import { Exchange } from './exchange.ts';
import type { ResponseWriter } from './response-writer.ts';

const servers: GrpcServer[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

class SilentWriter implements ResponseWriter {
  queuedBytes = 0;
  hasEnded = false;
  lateWrites = 0;

  write(): void {
    if (this.hasEnded) this.lateWrites++;
  }
  end(): void {
    this.hasEnded = true;
  }
  fail(): void {
    // Not used here.
  }
  refuse(): void {
    this.hasEnded = true;
  }
  destroy(): void {
    // Not used here.
  }
}

interface Begun {
  readonly exchange: Exchange;
  readonly writer: SilentWriter;
  readonly seen: { requests: number; isPaused: boolean };
}

function begin({ endsAtOnce = false, maxTextBytes = 1 << 20, answer = Buffer.alloc(0) } = {}): Begun {
  const server = new GrpcServer({ maxReceiveBytes: 1 << 20 });
  servers.push(server);
  const seen = { requests: 0, isPaused: false };
  server.stream(Lease.methods.leaseKeepAlive, (call) => {
    call.onMessage = () => {
      seen.requests++;
      if (answer.length > 0) call.write(answer);
      if (endsAtOnce) call.end();
    };
    call.onHalfClose = () => call.end();
  });
  const writer = new SilentWriter();
  const exchange = new Exchange(
    {
      server,
      method: Lease.methods.leaseKeepAlive,
      metadata: [],
      timeoutMs: -1,
      maxTextBytes,
      socket: new Socket(),
      authority: '',
    },
    writer,
    {
      callsAtOnce: true,
      pause: () => (seen.isPaused = true),
      resume: () => (seen.isPaused = false),
    },
  );
  exchange.start();
  return { exchange, writer, seen };
}

const REQUESTS = 100_000;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('a body with very many requests is read in many turns of the event loop, with back-pressure', async () => {
  const { exchange, writer, seen } = begin();
  exchange.receive(Buffer.from('{}'.repeat(REQUESTS / 2)));
  exchange.receive(Buffer.from('{}'.repeat(REQUESTS / 2)));
  exchange.receiveEnd();
  let most = seen.requests;
  while (!writer.hasEnded) {
    const before = seen.requests;
    expect(seen.isPaused).toBe(true);
    await turn();
    most = Math.max(most, seen.requests - before);
  }
  expect(seen).toEqual({ requests: REQUESTS, isPaused: false });
  expect(most).toBeLessThan(REQUESTS / 5);
});

// A large text is decoded by a thread. What comes after it waits.
it('requests after a large one are taken after it, in order', async () => {
  const { exchange, writer, seen } = begin();
  const large = `{"ID":"1","unknown":[${'0,'.repeat(9_000)}0]}`;
  exchange.receive(Buffer.from(`{"ID":"1"}${large}{"ID":"1"}`));
  exchange.receive(Buffer.from('{"ID":"1"}{"ID":"1"}'));
  exchange.receiveEnd();
  expect(seen).toEqual({ requests: 1, isPaused: true });
  await vi.waitFor(() => expect(writer.hasEnded).toBe(true), { timeout: 10_000, interval: 5 });
  expect(seen).toEqual({ requests: 5, isPaused: false });
});

it('reading stops when the client disconnects', async () => {
  const { exchange, seen } = begin();
  exchange.receive(Buffer.from('{}'.repeat(REQUESTS)));
  exchange.abandon();
  const { requests } = seen;
  await turn();
  await turn();
  expect(seen.requests).toBe(requests);
  expect(requests).toBeLessThan(REQUESTS);
});

it('the rest of the body is read and dropped after the call ends, so that the next request can follow', () => {
  const { exchange, writer, seen } = begin({ endsAtOnce: true });
  exchange.receive(Buffer.from('{}'));
  expect(writer.hasEnded).toBe(true);
  for (let i = 0; i < 100; i++) exchange.receive(Buffer.from('{"ID":"1"}'.repeat(1_500)));
  expect(seen).toEqual({ requests: 1, isPaused: false });
});

it('nothing is written after a refused request is answered', async () => {
  // An unknown field, as long as many slices of text.
  const bytes = 1024 * 1024;
  const answer = Buffer.concat([Buffer.from([0x7a, 0x80, 0x80, 0x40]), Buffer.alloc(bytes)]);
  const { exchange, writer } = begin({ maxTextBytes: 1000, answer });
  exchange.receive(Buffer.from('{}'));
  exchange.receive(Buffer.from(`"${'x'.repeat(2000)}`));
  expect(writer.hasEnded).toBe(true);
  for (let i = 0; i < 20; i++) await turn();
  expect(writer.lateWrites).toBe(0);
});
