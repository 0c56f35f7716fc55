/**
 * Returns a random integer in [0, bound), for election timeouts, delays and contexts of reads. None of them is a secret.
 * V8 seeds the generator from the system at each start. The crypto module would take 5 ms to load.
 */
export function randomInt(bound: number): number {
  return Math.floor(Math.random() * bound);
}
