import type { Config } from '../config/config.ts';
import { Logging } from '../logging/logging.ts';
import { DataDirectoryError } from '../storage/data-dir.ts';
import { CorruptLogError } from '../storage/wal/corrupt-log-error.ts';
import { TlsFileError } from '../tls/tls-file-error.ts';
import { AuthOptionsError } from '../api/auth/token-options.ts';
import { markEarly } from './early-marking.ts';
import { makeFilesPrivate } from './private-files.ts';
import { RunningServer } from './running-server.ts';
import { StartError } from './start-error.ts';

const CALLER = 'cli/serve.ts';

/** Runs one member until it is stopped or removed from its cluster. Returns the exit code. */
export async function serve(config: Config, logging: Logging): Promise<number> {
  makeFilesPrivate();
  const logger = logging.for(CALLER);
  exitOnUncaughtErrors(logging);
  try {
    markEarly();
    // Before that, a signal ends the process at once. With serving threads the first clients are served while other
    // threads still start.
    let signal = new Promise<string>(() => undefined);
    const server = await RunningServer.start(config, logging, () => {
      signal = signalled();
    });
    await watchTurns(process.env['KEYSTEAD_MAX_TURN_MS']);
    const reason = await Promise.race([signal, server.removed]);
    logger.info(reason === 'removed' ? 'stopping as a removed member' : 'received signal; shutting down', {
      signal: reason,
    });
    await server.stop();
    logger.info('closed etcd server', { name: config.name, 'data-dir': config.dataDir });
    return 0;
  } catch (error) {
    if (!isStartError(error)) throw error;
    logging.write('fatal', CALLER, 'failed to start', { error: error.message });
    return 1;
  }
}

/** A mode for tests, see docs/testing.md. Its lines always go to standard error. */
async function watchTurns(boundMs: string | undefined): Promise<void> {
  if (boundMs === undefined || !(Number(boundMs) > 0)) return;
  const { TurnWatch } = await import('./turn-watch.ts');
  await TurnWatch.start(Number(boundMs), Logging.early().for('cli/turn-watch.ts'));
}

function signalled(): Promise<string> {
  return new Promise((resolve) => {
    process.once('SIGTERM', () => resolve('terminated'));
    process.once('SIGINT', () => resolve('interrupt'));
  });
}

function isStartError(error: unknown): error is Error {
  const kinds = [StartError, DataDirectoryError, CorruptLogError, TlsFileError, AuthOptionsError];
  if (kinds.some((kind) => error instanceof kind)) return true;
  // Errors of listeners.
  return (
    error instanceof Error &&
    'syscall' in error &&
    ['listen', 'bind', 'getaddrinfo'].includes(String(error.syscall))
  );
}

/** An unexpected error ends the process, because continuing could corrupt data. */
function exitOnUncaughtErrors(logging: Logging): void {
  const end = (kind: string) => (error: unknown) => {
    const isError = error instanceof Error;
    const fields = {
      error: isError ? error.message : String(error),
      stack: isError ? error.stack : undefined,
    };
    logging.write('fatal', CALLER, kind, fields);
    process.exit(2);
  };
  process.on('uncaughtException', end('uncaught exception'));
  process.on('unhandledRejection', end('unhandled rejection'));
}
