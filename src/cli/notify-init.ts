import { spawn } from 'node:child_process';
import type { Logger } from '../ports/logger.ts';

/**
 * Tells systemd that the server is ready, for units of `Type=notify`. Node.js has no unix datagram sockets, so this
 * runs systemd-notify. The unit needs `NotifyAccess=all`.
 */
export function notifyInit(environment: Readonly<Record<string, string | undefined>>, logger: Logger): void {
  logger.info('notifying init daemon');
  if ((environment['NOTIFY_SOCKET'] ?? '') === '') {
    logger.info('successfully notified init daemon');
    return;
  }
  const child = spawn('systemd-notify', ['--ready', `--pid=${process.pid}`], { stdio: 'ignore' });
  child.once('error', (error) => logger.error('failed to notify systemd for readiness', { error }));
  child.once('exit', (code) => {
    if (code === 0) logger.info('successfully notified init daemon');
    else
      logger.error('failed to notify systemd for readiness', {
        error: `systemd-notify exited with code ${String(code)}`,
      });
  });
}
