/** How a stream ended, or failed to open. */
export interface StreamEnd {
  readonly wasOpen: boolean;
  /**
   * `closed-by-remote`: the other side closed it. `refused`: nobody takes connections there. `answered`: the member is
   * there but gives no stream. `silence`: it has not been heard of for too long. `other`: anything else.
   */
  readonly cause: 'closed-by-remote' | 'refused' | 'answered' | 'silence' | 'other';
  readonly reason: string;
}
