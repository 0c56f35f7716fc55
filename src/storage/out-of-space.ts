import { constants } from 'node:os';

/**
 * Whether a call failed because the disk is full (ENOSPC) or a quota is used up (EDQUOT). Node.js has no name for EDQUOT:
 * its code is `Unknown system error -122`.
 */
export function isOutOfSpace(error: unknown): boolean {
  const { code, errno } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT' || errno === -constants.errno.EDQUOT;
}
