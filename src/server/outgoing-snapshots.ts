import { hex, reasonOf } from '../lib/text.ts';
import type { Logger } from '../ports/logger.ts';
import type { PeerTransport } from '../ports/peer-transport.ts';
import type { ExportSnapshot, ResumableExport } from '../ports/snapshot.ts';
import type { Message } from '../raft/types.ts';
import type { Member } from './member.ts';

/** Maximum number of concurrent transfers. Other receivers wait until raft retries. */
const MAX_SENDING = 4;
/** As etcd: after a transfer, the log is kept for this time, so that the receiver can request the entries after it. */
const KEEP_LOG_MS = 30_000;
/** A snapshot whose transfer failed is kept for this time: its worker, its view of the store, and the log after it. */
const KEEP_FAILED_MS = 60_000;
/** Maximum number of transfers of one snapshot. Then a new one is created. */
const MAX_TRANSFERS = 20;

export interface OutgoingSnapshotsOptions {
  readonly member: Member;
  readonly transport: PeerTransport;
  readonly exportSnapshot: ExportSnapshot;
  /** Encodes the membership for the `data` field of a snapshot. */
  readonly membershipData: () => Buffer;
  readonly logger: Logger;
}

interface Sending {
  readonly id: string;
  readonly file: ResumableExport;
  /** Allows the compaction of the log again. */
  readonly release: () => void;
  transfers: number;
  /** Start of the current transfer. */
  startedMs: number;
}

/**
 * Sends snapshots to members that need entries which the log no longer has. A snapshot whose transfer failed is kept
 * for a while, so that the transfer can be resumed.
 */
export class OutgoingSnapshots {
  readonly #options: OutgoingSnapshotsOptions;
  /** By receiver; undefined while the snapshot is being created. */
  readonly #sending = new Map<bigint, Sending | undefined>();
  /** Snapshots whose transfer failed, by receiver. */
  readonly #failed = new Map<bigint, { readonly sending: Sending; readonly stopTimer: () => void }>();
  #created = 0;

  constructor(options: OutgoingSnapshotsOptions) {
    this.#options = options;
  }

  send(message: Message): void {
    const { member, logger } = this.#options;
    const { to } = message;
    if (this.#sending.size >= MAX_SENDING || this.#sending.has(to)) {
      member.scheduler.soon(() => this.#reportToRaft(to, false));
      return;
    }
    this.#sending.set(to, undefined);
    this.#prepare(to).then(
      (sending) => this.#transfer(message, sending),
      (error: unknown) => {
        logger.error('failed to create a snapshot', {
          to: hex(to),
          error: reasonOf(error),
        });
        this.reported(to, false);
      },
    );
  }

  /** Called when a transfer has ended. */
  reported(to: bigint, ok: boolean): void {
    const sending = this.#sending.get(to);
    this.#sending.delete(to);
    if (sending !== undefined) {
      const { clock, metrics } = this.#options.member;
      metrics.disk.backendSnapshot.observe((clock.now() - sending.startedMs) / 1000);
      if (ok) this.#finish(sending, KEEP_LOG_MS);
      else this.#keep(to, sending);
    }
    this.#reportToRaft(to, ok);
  }

  /** Returns the snapshot whose transfer failed, or creates a new one. */
  async #prepare(to: bigint): Promise<Sending> {
    const failed = this.#failed.get(to);
    this.#failed.delete(to);
    if (failed !== undefined) {
      failed.stopTimer();
      if (failed.sending.file.isOpen) return failed.sending;
      this.#finish(failed.sending, 0);
    }
    const { member, exportSnapshot } = this.#options;
    const release = member.logCompactor.hold();
    try {
      const file = await exportSnapshot();
      this.#created += 1;
      const id = `${member.memberIdText}-${member.clock.wall()}-${this.#created}`;
      return { id, file, release, transfers: 0, startedMs: 0 };
    } catch (error) {
      release();
      throw error;
    }
  }

  #transfer(message: Message, sending: Sending): void {
    const { member, transport, membershipData } = this.#options;
    const { id, file, transfers } = sending;
    const { index, term, confState, totalBytes } = file;
    sending.transfers += 1;
    sending.startedMs = member.clock.now();
    this.#sending.set(message.to, sending);
    transport.sendSnapshot(
      { ...message, snapshot: { data: membershipData(), metadata: { index, term, confState } } },
      {
        totalBytes,
        chunks: file.from(0),
        resumption: { id, isBroken: transfers > 0, from: (offset) => file.from(offset) },
      },
    );
  }

  #keep(to: bigint, sending: Sending): void {
    const { member } = this.#options;
    if (!sending.file.isOpen || sending.transfers >= MAX_TRANSFERS || !member.isLeader) {
      this.#finish(sending, 0);
      return;
    }
    const stopTimer = member.scheduler.after(KEEP_FAILED_MS, () => {
      this.#failed.delete(to);
      this.#finish(sending, 0);
    });
    this.#failed.set(to, { sending, stopTimer });
  }

  #finish({ file, release }: Sending, keepLogMs: number): void {
    const { member, logger } = this.#options;
    member.scheduler.after(keepLogMs, release);
    file.close().catch((error: unknown) => {
      logger.warn('failed to close a snapshot', { error: String(error) });
    });
  }

  #reportToRaft(to: bigint, ok: boolean): void {
    this.#options.member.consensusInput.reportSnapshot(to, ok);
  }
}
