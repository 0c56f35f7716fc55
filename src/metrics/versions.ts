export interface Versions {
  /** The etcd release this server answers as. */
  readonly server: string;
  /** The runtime, as `node20.9.0`. */
  readonly runtime: string;
}
