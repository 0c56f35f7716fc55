/** What the health endpoints ask of the server. */
export interface HealthSource {
  hasLeader(): boolean;
  isLearner(): boolean;
  /** Alarms raised on any member, by kind as etcd names them: NOSPACE, CORRUPT. */
  alarms(): readonly string[];
  /**
   * Reads one key's presence, through consensus unless `serializable`.
   *
   * @throws (rejects) an error whose message says why not, at the latest after the server's request timeout
   */
  read(options: { serializable: boolean }): Promise<void>;
}

/** What the version endpoint asks of the server; undefined while not yet decided. */
export interface VersionSource {
  /** `3.7.0` */
  clusterVersion(): string | undefined;
  /** `3.7.0` */
  storageVersion(): string | undefined;
}
