/** How a stream ended, or failed to begin. */
export interface StreamEnd {
  readonly wasOpen: boolean;
  /** The other side closed it, or has not been heard of for too long; anything else comes from this side. */
  readonly cause: 'closed-by-remote' | 'silence' | 'other';
  readonly reason: string;
}
