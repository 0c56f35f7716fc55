/** How a stream ended, or failed to begin. */
export interface StreamEnd {
  readonly wasOpen: boolean;
  /** The other side closed it, rather than this one or a timeout. */
  readonly byRemote: boolean;
  readonly reason: string;
}
