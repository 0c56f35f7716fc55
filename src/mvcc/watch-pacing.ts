/** How much the watch hub does in one step, which is one turn of the event loop. Tests have smaller numbers. */
export interface WatchPacing {
  /** A pause of deliveries lasts one millisecond for each this many responses sent before it. */
  readonly responsesPerPauseMs?: number;
  /** Changes read at least in one step for watchers that are behind. */
  readonly stepChanges?: number;
  /** Events announced at once beyond which they are gathered over several steps. */
  readonly largeEvents?: number;
  /** Responses of one step of a delivery. */
  readonly responsesPerStep?: number;
  /** Events of one step of a delivery. */
  readonly eventsPerStep?: number;
}

/** Each step takes at most some milliseconds. */
export const DEFAULT_PACING: Required<WatchPacing> = {
  responsesPerPauseMs: 64,
  stepChanges: 512,
  largeEvents: 1024,
  responsesPerStep: 1024,
  eventsPerStep: 4096,
};
