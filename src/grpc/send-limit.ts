/** The largest message etcd's server sends, in bytes. */
export const MAX_SEND_BYTES = 2 ** 31 - 1;

/** The text of grpc-go for RESOURCE_EXHAUSTED. */
export function tooLargeToSend(bytes: number): string {
  return `grpc: trying to send message larger than max (${bytes} vs. ${MAX_SEND_BYTES})`;
}
