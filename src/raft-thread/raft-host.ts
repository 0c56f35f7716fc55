import { defined } from '../lib/assert.ts';
import type { Logger } from '../ports/logger.ts';
import type { LogStore } from '../ports/log-store.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import type { MemoryStorage } from '../raft/memory-storage.ts';
import type { RawNode } from '../raft/raw-node.ts';
import { ConfChange, type ReadState, Role, type StepError } from '../raft/types.ts';
import { hex } from '../lib/text.ts';
import { termFault } from '../server/message-fault.ts';
import { RaftCore } from '../server/raft-core.ts';
import type { BatchReader, BatchWriter } from '../serving/batch.ts';
import { ConfState, Message, Snapshot } from '../wire/gen/raftpb.ts';
import { Snapshot as LogSnapshot } from '../wire/gen/walpb.ts';
import { writeEntries, writeFigures, writeProgress, writeReason, writeRole } from './fields.ts';
import { RaftLink, readRecords } from './raft-link.ts';
import { FromRaft, type RaftFigures, ToRaft } from './records.ts';

export interface RaftHostOptions {
  readonly node: RawNode;
  readonly memory: MemoryStorage;
  readonly log: LogStore;
  readonly scheduler: Scheduler;
  /** See `LocalRaftLog`. */
  readonly catchupBytes: number;
  readonly logger: Logger;
  /** Sends a batch of records to the member. */
  readonly post: (batch: ArrayBuffer) => void;
}

/**
 * Raft with its log in a thread of its own. `RemoteRaft` is the member's end of the channel. Ticks, heartbeats, votes
 * and the log do not wait for the member; what it sends is handled in the order in which it was sent.
 */
export class RaftHost {
  readonly #options: RaftHostOptions;
  readonly #node: RawNode;
  readonly #core: RaftCore;
  readonly #link: RaftLink;
  /** The batches of committed entries that the member has not applied yet. */
  readonly #applying: Message[] = [];
  #steppedBytes = 0;
  #hasLearners: boolean;
  #scheduled = false;
  #stopped = false;
  #stopTicks: () => void = () => undefined;
  #sent: RaftFigures | undefined;
  readonly #turnTask = (): void => {
    this.#scheduled = false;
    this.#turn();
  };

  constructor(options: RaftHostOptions) {
    const { node, memory, log, scheduler, post } = options;
    this.#options = options;
    this.#node = node;
    this.#hasLearners = node.confState().learners.length > 0;
    this.#link = new RaftLink({ post, scheduler, complete: (out) => this.#complete(out) });
    this.#core = new RaftCore({
      node,
      memory,
      log,
      catchupBytes: options.catchupBytes,
      hooks: {
        send: (messages) => {
          for (const message of messages) this.#send(message);
        },
        leadershipChanged: (lead, role) => this.#leadershipChanged(lead, role),
        dropped: (datas, reason) => this.#dropped(datas, reason),
        committed: (message) => this.#committed(message),
        confirmed: (reads) => this.#confirmed(reads),
        install: (snapshot) => {
          const bytes = Snapshot.encode(snapshot);
          this.#link.record(FromRaft.INSTALL).bytes(bytes, bytes.length);
          this.#hasLearners = node.confState().learners.length > 0;
        },
        wake: () => this.#schedule(),
      },
    });
  }

  /** Handles a batch of records of the member. */
  receive(batch: ArrayBuffer): void {
    if (this.#stopped) return;
    readRecords(batch, (kind, reader) => this.#read(kind, reader));
    this.#schedule();
  }

  /** Called after each synced write of the log, for metrics. */
  synced(durationMs: number, bytes: number, bufferMs: number): void {
    const out = this.#link.lateRecord(FromRaft.SYNCED);
    out.f64(durationMs);
    out.f64(bytes);
    out.f64(bufferMs);
    this.#link.late();
  }

  /** No turns follow. What was passed to the log is written. */
  stop(): void {
    this.#stopped = true;
    this.#stopTicks();
    this.#core.stop();
  }

  #schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    this.#options.scheduler.soon(this.#turnTask);
  }

  #turn(): void {
    if (this.#stopped) return;
    const core = this.#core;
    core.turn(() => {
      core.takeProposals();
      core.handle();
      core.writeAlone();
    });
    this.#link.flush();
    // After a flush the member knows the figures already.
    if (this.#hasNews()) this.#link.late();
  }

  #read(kind: number, reader: BatchReader): void {
    const node = this.#node;
    switch (kind) {
      case ToRaft.START:
        this.#start(reader.u32());
        return;
      case ToRaft.PROPOSE:
        this.#core.propose(reader.bytes());
        return;
      case ToRaft.WITHDRAW:
        this.#core.withdrawAll();
        return;
      case ToRaft.PROPOSE_CHANGE:
        this.#proposeChange(ConfChange.decode(reader.bytes()));
        return;
      case ToRaft.READ_INDEX:
        node.readIndex(reader.bytes());
        return;
      case ToRaft.APPLIED:
        for (let left = reader.u32(); left > 0; left -= 1)
          this.#core.applied(defined(this.#applying.shift(), 'what is applied was passed to the member'));
        return;
      case ToRaft.APPLY_CHANGE:
        this.#applyChange(reader.u32(), reader.bytes());
        return;
      case ToRaft.STEP:
        this.#step(reader.bytes());
        return;
      case ToRaft.TICK:
        node.tick();
        return;
      case ToRaft.TRANSFER:
        node.transferLeader(reader.u64());
        return;
      case ToRaft.UNREACHABLE:
        node.reportUnreachable(reader.u64());
        return;
      case ToRaft.SNAPSHOT_ENDED:
        node.reportSnapshot(reader.u64(), reader.u8() === 1 ? 'finished' : 'failed');
        return;
      case ToRaft.FORGET_LEADER:
        node.forgetLeader();
        return;
      case ToRaft.CAMPAIGN:
        node.campaign();
        return;
      case ToRaft.INSTALLED:
        this.#core.installed();
        return;
      case ToRaft.RELEASE:
        this.#release(reader.u32(), reader.bytes());
        return;
      case ToRaft.REMOVE:
        this.#core.log.removeUpTo(reader.f64(), {
          index: reader.f64(),
          confState: ConfState.decode(reader.bytes()),
        });
        return;
      case ToRaft.STOP:
        this.stop();
        return;
      default:
        throw new Error(`unknown record ${kind} for raft`);
    }
  }

  #start(intervalMs: number): void {
    this.#stopTicks = this.#options.scheduler.every(intervalMs, () => {
      this.#node.tick();
      this.#link.record(FromRaft.TICKED);
      if (this.#node.role === Role.Leader)
        writeProgress(this.#link.record(FromRaft.PROGRESS), this.#node.status());
      this.#schedule();
    });
  }

  #dropped(datas: readonly Buffer[], reason: StepError): void {
    for (const data of datas) {
      const out = this.#link.record(FromRaft.DROPPED);
      writeReason(out, reason);
      out.bytes(data, data.length);
    }
  }

  #proposeChange(change: ConfChange): void {
    const refused = this.#node.proposeConfChange(change);
    if (refused === undefined) return;
    const out = this.#link.record(FromRaft.CHANGE_REFUSED);
    out.u64(change.id);
    writeReason(out, refused);
  }

  /** The configuration of a snapshot contains the changes that the member applied before it knew of the snapshot. */
  #applyChange(installs: number, change: Buffer): void {
    this.#core.turn(() => this.#core.handle());
    if (installs !== this.#core.installs) return;
    this.#node.applyConfChange(ConfChange.decode(change));
    this.#hasLearners = this.#node.confState().learners.length > 0;
  }

  /** The member has checked the message by what it knew of the leadership, which may have changed since. */
  #step(bytes: Buffer): void {
    this.#steppedBytes += bytes.length;
    const message = Message.decode(bytes);
    const reason = termFault(this.#node, message);
    if (reason === undefined) this.#node.step(message);
    else {
      const fields = { 'remote-peer-id': hex(message.from), reason };
      this.#options.logger.warn('rejected a raft message', fields);
    }
  }

  #release(request: number, bytes: Buffer): void {
    const { index, term, confState } = LogSnapshot.decode(bytes);
    const state = defined(confState, 'a log is released with a configuration');
    void this.#core.log.release({ index, term, confState: state }).then(() => {
      if (this.#stopped) return;
      this.#link.record(FromRaft.RELEASED).u32(request);
      this.#schedule();
    });
  }

  #send(message: Message): void {
    const bytes = Message.encode(message);
    this.#link.record(FromRaft.SEND).bytes(bytes, bytes.length);
  }

  #leadershipChanged(lead: bigint, role: Role): void {
    const out = this.#link.record(FromRaft.LEADERSHIP);
    out.u64(lead);
    writeRole(out, role);
    out.f64(this.#node.term);
    if (role === Role.Leader) writeProgress(this.#link.record(FromRaft.PROGRESS), this.#node.status());
  }

  #committed(message: Message): void {
    this.#applying.push(message);
    writeEntries(this.#link.record(FromRaft.COMMITTED), message.entries);
  }

  #confirmed(reads: readonly ReadState[]): void {
    for (const { index, requestCtx } of reads) {
      const out = this.#link.record(FromRaft.READABLE);
      out.f64(index);
      out.bytes(requestCtx, requestCtx.length);
    }
  }

  #figures(): RaftFigures {
    const node = this.#node;
    const core = this.#core;
    const { log } = core;
    return {
      term: node.term,
      vote: node.vote,
      committed: node.committed,
      appendsBegun: core.appendsBegun,
      appendsDone: core.appendsDone,
      unwrittenBytes: core.unwrittenBytes,
      unreleasedBytes: log.unreleasedBytes,
      room: log.room,
      firstIndex: log.firstIndex,
      waitingProposals: core.waitingProposals,
      steppedBytes: this.#steppedBytes,
    };
  }

  #hasNews(): boolean {
    const sent = this.#sent;
    if (sent === undefined) return true;
    const now = this.#figures();
    return (Object.keys(now) as (keyof RaftFigures)[]).some((name) => now[name] !== sent[name]);
  }

  /** Each batch ends with the figures, so that they are those of its other records. */
  #complete(out: BatchWriter): void {
    if (this.#stopped) return;
    if (this.#hasLearners && this.#node.role === Role.Leader) {
      out.u8(FromRaft.PROGRESS);
      writeProgress(out, this.#node.status());
    }
    this.#sent = this.#figures();
    out.u8(FromRaft.FIGURES);
    writeFigures(out, this.#sent);
  }
}
