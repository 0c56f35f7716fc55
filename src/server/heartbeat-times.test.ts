import { expect, it } from 'vitest';
import { Metrics } from '../metrics/metrics.ts';
import type { LogFields } from '../ports/logger.ts';
import { type Message, MessageType } from '../raft/types.ts';
import { HeartbeatTimes } from './heartbeat-times.ts';

it('late heartbeats are counted and logged for each receiver', () => {
  const metrics = new Metrics();
  const lines: (LogFields | undefined)[] = [];
  const ignore = (): void => undefined;
  let nowMs = 0;
  const times = new HeartbeatTimes(100, { now: () => nowMs, wall: () => 0 }, metrics, {
    debug: ignore,
    info: ignore,
    error: ignore,
    warn: (_message, fields) => void lines.push(fields),
  });
  const send = (atMs: number, to: bigint, type: MessageType = MessageType.MsgHeartbeat): void => {
    nowMs = atMs;
    times.sent([{ type, to } as Message]);
  };
  send(0, 2n);
  send(200, 2n);
  send(200, 3n);
  expect(metrics.server.heartbeatSendFailures).toBe(0);
  send(300, 2n, MessageType.MsgApp);
  send(450, 2n);
  send(500, 3n);
  expect(metrics.server.heartbeatSendFailures).toBe(2);
  expect(lines[0]).toEqual({
    to: '2',
    'heartbeat-interval': '100ms',
    'expected-duration': '200ms',
    'exceeded-duration': '50.000ms',
  });
  times.reset();
  send(5000, 2n);
  expect(metrics.server.heartbeatSendFailures).toBe(2);
});
