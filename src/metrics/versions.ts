export interface Versions {
  /** The etcd release that this server reports. */
  readonly server: string;
  /** The runtime, such as `node20.9.0`. */
  readonly runtime: string;
}
