/** Time as the modules see it. Both in milliseconds. */
export interface Clock {
  /** Monotonic; only differences mean something. */
  now(): number;
  /** Wall time since the epoch. */
  wall(): number;
}
