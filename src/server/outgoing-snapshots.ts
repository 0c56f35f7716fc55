import { hex, reasonOf } from '../lib/text.ts';
import type { Logger } from '../ports/logger.ts';
import type { PeerTransport } from '../ports/peer-transport.ts';
import type { ExportSnapshot, ResumableExport } from '../ports/snapshot.ts';
import type { Message } from '../raft/types.ts';
import type { Member } from './member.ts';

/** Snapshots sent at the same time; more members that need one wait for raft to ask again. */
const MAX_SENDING = 4;
/** As etcd: time for the receiver of a snapshot to ask for the entries after it. */
const KEEP_LOG_MS = 30_000;
/** How long a snapshot whose transfer broke off is kept: its worker, the store's files as of it, the log after it. */
const KEEP_BROKEN_MS = 60_000;
/** Transfers of one snapshot, before another is made. */
const MAX_TRANSFERS = 20;

export interface OutgoingSnapshotsOptions {
  readonly member: Member;
  readonly transport: PeerTransport;
  readonly exportSnapshot: ExportSnapshot;
  /** The membership as a snapshot's `data`. */
  readonly membershipData: () => Buffer;
  readonly logger: Logger;
}

interface Sending {
  readonly id: string;
  readonly file: ResumableExport;
  /** Lets the log be compacted again. */
  readonly release: () => void;
  transfers: number;
  /** Of the transfer under way. */
  startedMs: number;
}

/** The snapshots for members that need more than the log has, and what is left of them when their transfer breaks off. */
export class OutgoingSnapshots {
  readonly #options: OutgoingSnapshotsOptions;
  /** By receiver; undefined while the snapshot is being made. */
  readonly #sending = new Map<bigint, Sending | undefined>();
  readonly #broken = new Map<bigint, { readonly sending: Sending; readonly stopTimer: () => void }>();
  #made = 0;

  constructor(options: OutgoingSnapshotsOptions) {
    this.#options = options;
  }

  send(message: Message): void {
    const { member, logger } = this.#options;
    const { to } = message;
    if (this.#sending.size >= MAX_SENDING || this.#sending.has(to)) {
      member.scheduler.soon(() => this.#tellRaft(to, false));
      return;
    }
    this.#sending.set(to, undefined);
    this.#prepare(to).then(
      (sending) => this.#transfer(message, sending),
      (error: unknown) => {
        logger.error('failed to make a snapshot', {
          to: hex(to),
          error: reasonOf(error),
        });
        this.reported(to, false);
      },
    );
  }

  /** A transfer has ended. */
  reported(to: bigint, ok: boolean): void {
    const sending = this.#sending.get(to);
    this.#sending.delete(to);
    if (sending !== undefined) {
      const { clock, metrics } = this.#options.member;
      metrics.disk.backendSnapshot.observe((clock.now() - sending.startedMs) / 1000);
      if (ok) this.#finish(sending, KEEP_LOG_MS);
      else this.#keep(to, sending);
    }
    this.#tellRaft(to, ok);
  }

  /** The snapshot whose transfer broke off, or a new one. */
  async #prepare(to: bigint): Promise<Sending> {
    const broken = this.#broken.get(to);
    this.#broken.delete(to);
    if (broken !== undefined) {
      broken.stopTimer();
      if (broken.sending.file.isOpen) return broken.sending;
      this.#finish(broken.sending, 0);
    }
    const { member, exportSnapshot } = this.#options;
    const release = member.logKeeper.hold();
    try {
      const file = await exportSnapshot();
      this.#made += 1;
      const id = `${member.memberIdText}-${member.clock.wall()}-${this.#made}`;
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
    const stopTimer = member.scheduler.after(KEEP_BROKEN_MS, () => {
      this.#broken.delete(to);
      this.#finish(sending, 0);
    });
    this.#broken.set(to, { sending, stopTimer });
  }

  #finish({ file, release }: Sending, keepLogMs: number): void {
    const { member, logger } = this.#options;
    member.scheduler.after(keepLogMs, release);
    file.close().catch((error: unknown) => {
      logger.warn('failed to close a snapshot', { error: String(error) });
    });
  }

  #tellRaft(to: bigint, ok: boolean): void {
    this.#options.member.consensusInput.reportSnapshot(to, ok);
  }
}
