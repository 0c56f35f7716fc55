const MALFORMED = 'proto: cannot parse invalid wire-format data';

/**
 * Bytes that are not a well-formed message. Client input causes it, so it is an answer and not a crash.
 *
 * `message` says what is wrong, for logs; `answer` is what etcd tells the client, who learns less: a unary call
 * fails with Internal and `grpc: error unmarshalling request: ` in front of it, a stream with Internal and
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
