/*
 * Loaded into a server before its own code (node --import): tells on SIGUSR2 the longest delay of the event loop since
 * the signal before, in milliseconds.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 1;
const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delays.enable();
process.on('SIGUSR2', () => {
  const [p99, max] = [delays.percentile(99), delays.max].map((ns) => Math.max(0, ns / 1e6 - RESOLUTION_MS));
  process.stderr.write(`event loop delay ${JSON.stringify({ p99, max })}\n`);
  delays.reset();
});
