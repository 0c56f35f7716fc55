/** How a stream ended, or failed to open. */
export interface StreamEnd {
  readonly wasOpen: boolean;
  /**
   * `closed-by-remote`: the other side closed it. `refused`: the connection was refused. `answered`: the member
   * responded but did not open a stream. `silence`: nothing was received for too long. `other`: anything else.
   */
  readonly cause: 'closed-by-remote' | 'refused' | 'answered' | 'silence' | 'other';
  readonly reason: string;
}
