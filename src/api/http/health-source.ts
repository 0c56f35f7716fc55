/** What the health endpoints need from the server. */
export interface HealthSource {
  hasLeader(): boolean;
  isLearner(): boolean;
  /** The alarms raised on any member, by etcd's names: NOSPACE, CORRUPT. */
  alarms(): readonly string[];
  /**
   * Reads one key, linearizable unless `serializable`.
   *
   * @throws (rejects) an error whose message is the reason, at the latest after the server's request timeout
   */
  read(options: { serializable: boolean }): Promise<void>;
}

/** What the version endpoint needs from the server. Undefined until it is decided. */
export interface VersionSource {
  /** `3.7.0` */
  clusterVersion(): string | undefined;
  /** `3.7.0` */
  storageVersion(): string | undefined;
}
