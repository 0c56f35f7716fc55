const MALFORMED = 'proto: cannot parse invalid wire-format data';

/**
 * The bytes are not a valid message. Clients can cause this, so it must never crash the server.
 *
 * `message` has the details for logs. `answer` is the shorter text that etcd returns to clients. A unary call fails
 * with Internal and the prefix `grpc: error unmarshalling request: `, a stream with Internal and the prefix
 * `grpc: failed to unmarshal the received message: `.
 */
export class WireError extends Error {
  override readonly name = 'WireError';

  readonly answer: string;

  constructor(message: string, answer: string = MALFORMED) {
    super(message);
    this.answer = answer;
  }
}
