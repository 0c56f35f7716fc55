/**
 * A random integer in [0, bound), for election timeouts, delays and contexts of reads, none of which is a secret. V8
 * seeds it anew from the system's randomness with each start. The module for cryptography takes 5 ms to load.
 */
export function randomInt(bound: number): number {
  return Math.floor(Math.random() * bound);
}
