/** Room on the disk that the engine and the log lie on. */
export interface SpaceGauge {
  /**
   * False while the disk is so full that the engine might fail to write: proposals are refused with NOSPACE then.
   * Turns true again within a second after space was freed. Reads and removals of log segments go on.
   */
  readonly hasRoom: boolean;
}
