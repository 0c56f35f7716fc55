import { describe, expect, it, vi } from 'vitest';
import { Metrics } from '../metrics/metrics.ts';
import type { OutgoingSnapshot } from '../ports/peer-transport.ts';
import type { ResumableExport } from '../ports/snapshot.ts';
import { Message, MessageType } from '../wire/gen/raftpb.ts';
import { OutgoingSnapshots, type OutgoingSnapshotsOptions } from './outgoing-snapshots.ts';

const TO = 2n;

class Fixture {
  readonly sent: { message: Message; snapshot: OutgoingSnapshot }[] = [];
  readonly reports: string[] = [];
  readonly timers: { ms: number; run: () => void }[] = [];
  readonly files: { isOpen: boolean }[] = [];
  holds = 0;
  isLeader = true;
  readonly snapshots: OutgoingSnapshots;

  constructor() {
    const member = {
      memberIdText: 'a',
      clock: { now: () => 0, wall: () => 1000 },
      isLeader: true,
      metrics: new Metrics(),
      scheduler: {
        soon: (run: () => void) => run(),
        after: (ms: number, run: () => void) => {
          const timer = { ms, run };
          if (ms === 0) run();
          else this.timers.push(timer);
          return () => void this.timers.splice(this.timers.indexOf(timer), 1);
        },
      },
      logCompactor: {
        hold: () => {
          this.holds += 1;
          return () => (this.holds -= 1);
        },
      },
      consensusInput: {
        reportSnapshot: (_to: bigint, isSaved: boolean) => this.reports.push(isSaved ? 'finished' : 'failed'),
      },
    };
    this.snapshots = new OutgoingSnapshots({
      member,
      transport: {
        sendSnapshot: (message: Message, snapshot: OutgoingSnapshot) => this.sent.push({ message, snapshot }),
      },
      exportSnapshot: () => Promise.resolve(this.#export()),
      membershipData: () => Buffer.alloc(0),
      logger: { error: () => undefined, warn: () => undefined },
    } as unknown as OutgoingSnapshotsOptions);
  }

  async send(): Promise<void> {
    const before = this.sent.length;
    this.snapshots.send(Message.create({ type: MessageType.MsgSnap, to: TO, from: 1n }));
    await vi.waitFor(() => expect(this.sent).toHaveLength(before + 1));
  }

  get last(): OutgoingSnapshot['resumption'] {
    return this.sent.at(-1)?.snapshot.resumption;
  }

  #export(): ResumableExport {
    const file = {
      isOpen: true,
      totalBytes: 10,
      index: 5 + this.files.length,
      term: 1,
      from: () => [],
      close: () => {
        file.isOpen = false;
        return Promise.resolve();
      },
    };
    this.files.push(file);
    return file as unknown as ResumableExport;
  }
}

describe('an outgoing snapshot', () => {
  it('is kept when its transfer fails, and sent again', async () => {
    const fixture = new Fixture();
    await fixture.send();
    expect(fixture.last).toMatchObject({ isBroken: false });
    fixture.snapshots.reported(TO, false);
    expect(fixture.reports).toEqual(['failed']);
    expect(fixture.holds).toBe(1);
    const first = fixture.last;
    await fixture.send();
    expect(fixture.last).toMatchObject({ id: first?.id, isBroken: true });
    expect(fixture.sent[1]?.message.snapshot?.metadata?.index).toBe(5);
    expect(fixture.timers).toEqual([]);
    fixture.snapshots.reported(TO, true);
    expect(fixture.files).toEqual([expect.objectContaining({ isOpen: false })]);
    expect(fixture.timers.map(({ ms }) => ms)).toEqual([30_000]);
    fixture.timers[0]?.run();
    expect(fixture.holds).toBe(0);
  });

  it('is kept for a limited time, and only while it can be read', async () => {
    const fixture = new Fixture();
    await fixture.send();
    fixture.snapshots.reported(TO, false);
    fixture.timers.splice(0).forEach(({ run }) => run());
    expect(fixture.files[0]?.isOpen).toBe(false);
    expect(fixture.holds).toBe(0);
    await fixture.send();
    const second = fixture.files[1];
    if (second === undefined) throw new Error('another one was made');
    fixture.snapshots.reported(TO, false);
    second.isOpen = false;
    await fixture.send();
    expect(fixture.files).toHaveLength(3);
    expect(fixture.last).toMatchObject({ isBroken: false });
    expect(fixture.holds).toBe(1);
  });

  it('is the only one for its receiver', async () => {
    const fixture = new Fixture();
    await fixture.send();
    fixture.snapshots.send(Message.create({ type: MessageType.MsgSnap, to: TO, from: 1n }));
    expect(fixture.reports).toEqual(['failed']);
    expect(fixture.sent).toHaveLength(1);
  });
});
