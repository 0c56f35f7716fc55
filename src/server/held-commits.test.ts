import { describe, expect, it } from 'vitest';
import { type Message, MessageType, newMessage } from '../raft/types.ts';
import { HeldCommits } from './held-commits.ts';

function append(commit: number, entries = 0, to = 2n): Message {
  const message = newMessage(MessageType.MsgApp, to);
  message.commit = commit;
  message.entries = Array.from({ length: entries }, (_, at) => ({
    index: commit + at + 1,
    term: 1,
    type: 0,
    data: undefined,
  }));
  return message;
}

function setUp() {
  const sent: Message[] = [];
  const timers: (() => void)[] = [];
  const state = { now: 1000 };
  const held = new HeldCommits({
    scheduler: {
      soon: (task) => task(),
      after: (_delayMs, task) => {
        timers.push(task);
        return () => undefined;
      },
      every: () => () => undefined,
    },
    now: () => state.now,
    send: (messages) => sent.push(...messages),
  });
  return { held, sent, state, passTime: () => timers.splice(0).forEach((task) => task()) };
}

describe('commit indexes without entries', () => {
  it('are sent at once under low load', () => {
    const { held } = setUp();
    expect(held.hold(append(3))).toBe(false);
    expect(held.hold(append(5))).toBe(false);
  });

  it('wait for the next append under load and are sent as part of it', () => {
    const { held, sent, passTime } = setUp();
    expect(held.hold(append(100))).toBe(true);
    expect(held.hold(append(100, 4))).toBe(false);
    passTime();
    expect(sent).toEqual([]);
  });

  it('are sent after a short time when no append follows', () => {
    const { held, sent, passTime } = setUp();
    held.hold(append(100));
    held.hold(append(150));
    held.hold(append(150, 0, 3n));
    passTime();
    expect(sent.map(({ to, commit }) => [to, commit])).toEqual([
      [2n, 150],
      [3n, 150],
    ]);
  });

  it('are sent at once to a member whose clients wait for them', () => {
    const { held, state } = setUp();
    held.forwarded(2n);
    expect(held.hold(append(100))).toBe(false);
    state.now += 1000;
    expect(held.hold(append(200))).toBe(true);
  });

  it('do not delay other messages', () => {
    const { held } = setUp();
    const heartbeat = newMessage(MessageType.MsgHeartbeat, 2n);
    heartbeat.commit = 500;
    expect(held.hold(heartbeat)).toBe(false);
  });
});
