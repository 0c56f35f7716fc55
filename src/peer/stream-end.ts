/** How a stream ended, or failed to open. */
export interface StreamEnd {
  readonly wasOpen: boolean;
  /** Whether the other side closed it, or was silent for too long. All other causes are on this side. */
  readonly cause: 'closed-by-remote' | 'silence' | 'other';
  readonly reason: string;
}
