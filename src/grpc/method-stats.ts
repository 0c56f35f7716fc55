export interface DurationObserver {
  observe(seconds: number): void;
}

/** Counters of one method. They are plain numbers, so that a call costs only increments. */
export class MethodStats {
  readonly service: string;
  readonly method: string;
  readonly type: 'unary' | 'client_stream' | 'server_stream' | 'bidi_stream';
  started = 0;
  messagesReceived = 0;
  messagesSent = 0;
  /** Calls ended, by status code. */
  readonly handled: number[] = new Array<number>(17).fill(0);
  /** Receives the duration of each call, if set. */
  durations: DurationObserver | undefined;

  constructor(service: string, method: string, streaming: { client: boolean; server: boolean }) {
    this.service = service;
    this.method = method;
    if (streaming.client) this.type = streaming.server ? 'bidi_stream' : 'client_stream';
    else this.type = streaming.server ? 'server_stream' : 'unary';
  }

  countHandled(code: number, calls = 1): void {
    this.handled[code] = (this.handled[code] ?? 0) + calls;
  }
}

/** Totals over all calls of a server. */
export interface MessageCounters {
  /** Bytes of request messages, as received. */
  messageBytesReceived: number;
  /** Bytes of response messages, before compression. */
  messageBytesSent: number;
}
