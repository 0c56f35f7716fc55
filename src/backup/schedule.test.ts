import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { FolderPlace } from './folder-place.ts';
import { backupId, encodeManifest, type Manifest, manifestName, objectName } from './manifest.ts';
import { onePart } from './place.ts';
import { BackupSchedule, type ScheduleCounts } from './schedule.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-schedule-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const HOUR = 3_600_000;
const START = Date.parse('2026-11-22T00:00:00Z');

/** A schedule of one hour with a clock and a leader that the test sets, and backups of one byte. */
class Setup {
  nowMs = 0;
  wallMs = START;
  isLeader = true;
  term = 1;
  readonly place = new FolderPlace(mkdtempSync(join(root, 'place-')));
  readonly messages: string[] = [];
  readonly counts: ScheduleCounts = {
    lastSuccessSeconds: 0,
    lastSizeBytes: 0,
    lastVerifiedSeconds: 0,
    lastDurationSeconds: 0,
    failures: 0,
    inProgress: 0,
  };
  taken = 0;
  running = 0;
  duringTake: (mayContinue: () => void) => Promise<void> = () => Promise.resolve();
  confirm: () => Promise<void> = () => Promise.resolve();
  readonly schedule: BackupSchedule;
  #look: () => void = () => undefined;

  constructor() {
    const log = (message: string): void => void this.messages.push(message);
    this.schedule = new BackupSchedule({
      intervalMs: HOUR,
      place: this.place,
      isLeader: () => this.isLeader,
      term: () => this.term,
      confirmLeader: () => this.confirm(),
      take: (mayContinue) => this.#take(mayContinue),
      prune: () => Promise.resolve([]),
      clock: { now: () => this.nowMs, wall: () => this.wallMs },
      scheduler: {
        every: (_ms, task) => {
          this.#look = task;
          return () => (this.#look = () => undefined);
        },
      },
      logger: { debug: log, info: log, warn: log, error: log },
      counts: this.counts,
    });
  }

  async #take(mayContinue: () => void): Promise<Manifest> {
    this.running += 1;
    expect(this.running).toBe(1);
    try {
      await this.duringTake(mayContinue);
      this.taken += 1;
      return await this.store(this.taken, this.wallMs);
    } finally {
      this.running -= 1;
    }
  }

  async store(sequence: number, timeMs: number): Promise<Manifest> {
    const time = new Date(timeMs);
    const id = backupId(sequence, sequence, time, '00000000');
    const manifest: Manifest = {
      formatVersion: 1,
      id,
      sequence,
      clusterId: '1',
      memberId: '1',
      revision: sequence,
      compactRevision: -1,
      hashKv: 1,
      object: objectName(id, false),
      bytes: 1,
      sha256: '0'.repeat(64),
      time: time.toISOString(),
      keysteadVersion: '1',
      verifiedAt: time.toISOString(),
    };
    await this.place.put(manifest.object, onePart(Buffer.from('x')));
    await this.place.put(manifestName(id), onePart(encodeManifest(manifest)));
    return manifest;
  }

  /** Lets time pass, and waits until the schedule has done what it then does. */
  async pass(ms: number): Promise<void> {
    this.nowMs += ms;
    this.wallMs += ms;
    this.#look();
    await this.schedule.idle();
  }

  look(): void {
    this.#look();
  }
}

let setup: Setup;
afterEach(() => setup.schedule.stop());

describe('the schedule of backups', () => {
  it('takes one at once if there is none, and then one each interval', async () => {
    setup = new Setup();
    await setup.pass(0);
    expect(setup.taken).toBe(1);
    expect(setup.counts).toMatchObject({
      lastSuccessSeconds: START / 1000,
      lastSizeBytes: 1,
      lastVerifiedSeconds: START / 1000,
    });
    await setup.pass(HOUR - 1);
    expect(setup.taken).toBe(1);
    await setup.pass(1);
    expect(setup.taken).toBe(2);
  });

  it('takes none on a member that does not lead', async () => {
    setup = new Setup();
    setup.isLeader = false;
    await setup.pass(5 * HOUR);
    expect(setup.taken).toBe(0);
  });

  it('goes on from the backups of the leader before', async () => {
    setup = new Setup();
    await setup.store(9, START - 20 * 60_000);
    await setup.pass(0);
    expect(setup.counts.lastSuccessSeconds).toBe(START / 1000 - 1200);
    await setup.pass(39 * 60_000);
    expect(setup.taken).toBe(0);
    await setup.pass(60_000);
    expect(setup.taken).toBe(1);
  });

  it.each([-2000, 2000])('is not led astray by a clock that steps by %i hours', async (hours) => {
    setup = new Setup();
    await setup.pass(0);
    setup.wallMs += hours * HOUR;
    await setup.pass(HOUR / 2);
    expect(setup.taken).toBe(1);
    await setup.pass(HOUR / 2);
    expect(setup.taken).toBe(2);
    // A new leader does not wait for a time in the future.
    setup.wallMs -= 5000 * HOUR;
    setup.term += 1;
    await setup.pass(0);
    expect(setup.taken).toBe(3);
  });

  it('never takes two at once, and gives up when another member leads', async () => {
    setup = new Setup();
    let release = (): void => undefined;
    setup.duringTake = async (mayContinue) => {
      await new Promise<void>((resolve) => (release = resolve));
      mayContinue();
    };
    setup.look();
    await vi.waitFor(() => expect(setup.running).toBe(1));
    setup.nowMs += 10 * HOUR;
    setup.look();
    expect(setup.running).toBe(1);
    setup.term += 1;
    release();
    await vi.waitFor(() => expect(setup.messages).toContain('gave up a backup'));
    expect(setup.taken).toBe(0);
    expect(setup.counts.failures).toBe(0);
  });

  it('takes none if no majority confirms the leader', async () => {
    setup = new Setup();
    setup.confirm = () => Promise.reject(new Error('no leader'));
    await setup.pass(0);
    expect(setup.taken).toBe(0);
    expect(setup.counts.failures).toBe(1);
  });

  it('tries again after a failure, with longer pauses', async () => {
    setup = new Setup();
    setup.duringTake = () => Promise.reject(new Error('no space'));
    await setup.pass(0);
    for (const pause of [30_000, 60_000, 120_000]) {
      const { failures } = setup.counts;
      await setup.pass(pause - 1);
      expect(setup.counts.failures).toBe(failures);
      await setup.pass(1);
      expect(setup.counts.failures).toBe(failures + 1);
    }
    expect(setup.messages.filter((message) => message === 'failed to take a backup').length).toBe(4);
    setup.duringTake = () => Promise.resolve();
    await setup.pass(240_000);
    expect(setup.taken).toBe(1);
  });

  it('takes a requested one at once, but pauses for four times the duration of the one before', async () => {
    setup = new Setup();
    setup.duringTake = () => {
      setup.nowMs += 1000;
      return Promise.resolve();
    };
    await setup.pass(0);
    setup.schedule.request('a gap');
    await setup.pass(3999);
    expect(setup.taken).toBe(1);
    await setup.pass(1);
    expect(setup.taken).toBe(2);
    await setup.pass(HOUR / 2);
    expect(setup.taken).toBe(2);
    setup.schedule.request('a gap');
    await setup.pass(0);
    expect(setup.taken).toBe(3);
  });

  it('does not ask for a requested one again and again while no majority confirms the leader', async () => {
    setup = new Setup();
    setup.confirm = () => Promise.reject(new Error('no leader'));
    setup.schedule.request('a gap');
    await setup.pass(0);
    await setup.pass(29_999);
    expect(setup.counts.failures).toBe(1);
    await setup.pass(1);
    expect(setup.counts.failures).toBe(2);
  });

  it('waits at a stop until a backup under way is given up', async () => {
    setup = new Setup();
    let hasBegun = false;
    setup.duringTake = async (mayContinue) => {
      hasBegun = true;
      await new Promise((resolve) => setTimeout(resolve, 200));
      mayContinue();
    };
    setup.look();
    await vi.waitFor(() => expect(hasBegun).toBe(true), { interval: 5 });
    await setup.schedule.stop();
    expect(setup.running).toBe(0);
    expect(setup.taken).toBe(0);
  });
});
