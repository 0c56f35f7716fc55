import type { ProcessStatus } from '../ports/peer-client.ts';
import { KEYSTEAD_VERSION } from './version.ts';

export function processStatus(): ProcessStatus {
  return { version: KEYSTEAD_VERSION, uptimeSeconds: Math.floor(process.uptime()) };
}
