/** Free space on the disk of the engine and the log. */
export interface SpaceGauge {
  /**
   * False while the disk is so full that the engine might fail to write. Proposals are then refused with NOSPACE.
   * Becomes true within a second after space was freed. Reads, and removals of log segments, continue.
   */
  readonly hasRoom: boolean;
}
