/** Worker thread: raft and its log. The main thread applies what raft commits. */
import { parentPort, workerData } from 'node:worker_threads';
import { randomInt } from '../cli/random-int.ts';
import { timers } from '../cli/timers.ts';
import { defined } from '../lib/assert.ts';
import type { Logger } from '../ports/logger.ts';
import { RaftHost } from '../raft-thread/raft-host.ts';
import type { ControlFromRaft, ControlToRaft, RaftThreadData } from '../raft-thread/thread-data.ts';
import { startRaft } from '../server/start-raft.ts';
import { openLog } from '../storage/wal/open-log.ts';
import { forwardingLogger } from '../threads/forwarded-log.ts';
import { nameThread } from '../threads/name-thread.ts';

const { log: place, config, memberId, initialMembers, isNew, applied } = workerData as RaftThreadData;
const port = defined(parentPort, 'the raft worker runs as a worker thread');
nameThread('raft');

function control(message: ControlFromRaft): void {
  port.postMessage(message);
}

// Raft's many lines at level debug would each be a message to the main thread.
const logger: Logger = { ...forwardingLogger('raft/raft.ts', control), debug: () => undefined };

const { log, contents } = openLog({
  ...place,
  onFailure: (error) => control({ kind: 'failed', message: error.message }),
  onSync: (durationMs, bytes, bufferMs) => host.synced(durationMs, bytes, bufferMs),
});
const host = new RaftHost({
  ...startRaft({
    config,
    storage: { contents, isNew, log },
    identity: { memberId },
    initialMembers,
    applied,
    randomInt,
    logger,
  }),
  log,
  scheduler: timers,
  catchupBytes: config.catchupBytes,
  logger,
  post: (batch) => port.postMessage(batch, [batch]),
});

port.on('message', (message: ArrayBuffer | ControlToRaft) => {
  if (message instanceof ArrayBuffer) host.receive(message);
  else void close();
});

async function close(): Promise<void> {
  host.stop();
  await log.close();
  control({ kind: 'closed' });
}
