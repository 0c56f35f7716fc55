import type { EventLoopDelay } from '../metrics/event-loop.ts';
import type { UsageSource } from '../metrics/usage-families.ts';
import { hex } from '../lib/text.ts';
import { formatVersion } from '../membership/version.ts';
import type { PeerClient, RemoteStatus } from '../ports/peer-client.ts';
import type { PeerTransport } from '../ports/peer-transport.ts';
import { statusOf } from '../server/member-status.ts';
import type { Member } from '../server/member.ts';
import { AlarmType } from '../wire/gen/etcdserverpb.ts';
import { loopReport, type RecentDelay } from './recent-delay.ts';
import type {
  BackupReport,
  LoopReport,
  MemberFigures,
  MemberReport,
  MemberState,
  PrefixReport,
  SelfReport,
  SlowRequest,
  SpaceReport,
  StatusReport,
  UsageReport,
} from './report.ts';

/** A member that takes longer counts as silent. */
const ASK_MS = 1_000;
/** A report is used again for requests within this time, so that many open pages cost no more than one. */
const REUSE_MS = 500;
const MAX_PREFIXES = 20;
/** Longer texts of the cluster are cut. */
const MAX_TEXT = 256;
const MAX_URLS = 4;

export interface StatusSourceOptions {
  readonly member: Member;
  readonly peers: Pick<PeerTransport, 'activeSince' | 'roundTripMs'>;
  readonly client: Pick<PeerClient, 'status'>;
  readonly usage: UsageSource | undefined;
  readonly eventLoop: EventLoopDelay;
  readonly recentDelay: RecentDelay;
  readonly slowRequests: () => SlowRequest[];
  /** Space of the disk of the store; capacity 0 if unknown. */
  readonly diskSpace: () => Promise<{ readonly capacity: number; readonly free: number }>;
  readonly process: () => {
    readonly version: string;
    readonly etcdVersion: string;
    readonly runtime: string;
    readonly uptimeSeconds: number;
    readonly memoryBytes: number;
  };
}

/** What is known of one member. `status` is undefined without an answer. */
interface Asked {
  readonly state: MemberState;
  readonly status: RemoteStatus | undefined;
}

/** Makes the reports of the status page: of this member, and of the others as they answer. */
export class StatusSource {
  readonly #options: StatusSourceOptions;
  #report: Promise<StatusReport> | undefined;
  #endsMs = 0;

  constructor(options: StatusSourceOptions) {
    this.#options = options;
  }

  read(): Promise<StatusReport> {
    const nowMs = this.#options.member.clock.now();
    if (this.#report === undefined || nowMs >= this.#endsMs) {
      // Longer than a report can take, until it is there.
      this.#endsMs = nowMs + ASK_MS + REUSE_MS;
      this.#report = this.#make().finally(() => {
        this.#endsMs = this.#options.member.clock.now() + REUSE_MS;
      });
    }
    return this.#report;
  }

  async #make(): Promise<StatusReport> {
    const { member, diskSpace } = this.#options;
    const others = member.cluster.members().filter(({ id }) => id !== member.identity.memberId);
    const [disk, ...answers] = await Promise.all([diskSpace(), ...others.map((each) => this.#ask(each))]);
    const own = this.#self();
    const asked = new Map<bigint, Asked>(
      others.map(({ id }, at) => [id, answers[at] ?? { state: 'unreachable', status: undefined }]),
    );
    asked.set(member.identity.memberId, { state: 'self', status: statusOf(member, own) });
    const { consensus } = member;
    const { lead } = consensus;
    return {
      atMs: member.clock.wall(),
      self: own,
      leader: member.hasLeader ? hex(lead) : null,
      raft: {
        term: member.term,
        committed: consensus.committed,
        applied: member.applied.index,
        pendingProposals: member.pendingProposals,
        failedProposals: member.failedProposals,
        leaderChanges: member.metrics.server.leaderChangesSeen,
      },
      members: this.#members(asked),
      alarms: member.alarms
        .get(AlarmType.NONE)
        .map(({ memberId, alarm }) => ({ memberId: hex(memberId), alarm: alarmName(alarm) })),
      space: this.#space(disk),
      eventLoop: this.#eventLoop(own.uptimeSeconds),
      slowRequests: this.#options.slowRequests(),
      usage: this.#usage(),
      backup: this.#backup(asked),
    };
  }

  async #ask({
    id,
    name,
    peerUrls,
  }: {
    id: bigint;
    name: string;
    peerUrls: readonly string[];
  }): Promise<Asked> {
    const { peers, client } = this.#options;
    if (peers.activeSince(id) === undefined)
      return { state: name === '' ? 'unstarted' : 'unreachable', status: undefined };
    return client.status(peerUrls, ASK_MS).then(
      (status) => ({ state: 'connected', status }),
      () => ({ state: 'silent', status: undefined }),
    );
  }

  #self(): SelfReport {
    const { member, process } = this.#options;
    const { version } = member.cluster;
    return {
      id: member.memberIdText,
      name: cut(member.cluster.member(member.identity.memberId)?.name || member.config.name),
      clusterId: hex(member.identity.clusterId),
      clusterVersion: version === undefined ? null : formatVersion(version),
      ...process(),
    };
  }

  #members(asked: ReadonlyMap<bigint, Asked>): MemberReport[] {
    const { member, peers } = this.#options;
    const { lead } = member.consensus;
    const leader = asked.get(lead)?.status;
    return member.cluster.members().map(({ id, name, isLearner, clientUrls }) => {
      const { state, status } = asked.get(id) ?? { state: 'unreachable', status: undefined };
      const match = id === lead ? leader?.committed : leader?.matches.get(id);
      return {
        id: hex(id),
        name: cut(name),
        isLearner,
        clientUrls: clientUrls.slice(0, MAX_URLS).map(cut),
        state,
        roundTripMs: state === 'self' ? null : (peers.roundTripMs(id) ?? null),
        lag: leader === undefined || match === undefined ? null : Math.max(0, leader.committed - match),
        own: status === undefined ? null : figures(status),
      };
    });
  }

  #space(disk: { readonly capacity: number; readonly free: number }): SpaceReport {
    const { member } = this.#options;
    const { store, quota } = member;
    const { sizeBytes } = store;
    return {
      storeBytes: sizeBytes,
      inUseBytes: Math.min(member.engine.sizes().inUse, sizeBytes),
      quotaBytes: Number.isFinite(quota.limitBytes) && quota.limitBytes > 0 ? quota.limitBytes : null,
      keys: store.keyCount,
      revision: store.revision,
      compactRevision: store.compactRevision,
      watchers: member.hub.counters.watchers,
      disk: disk.capacity > 0 ? { freeBytes: disk.free, totalBytes: disk.capacity } : null,
    };
  }

  #eventLoop(uptimeSeconds: number): { recent: LoopReport; sinceStart: LoopReport } {
    const { eventLoop, recentDelay } = this.#options;
    return { recent: recentDelay.report(), sinceStart: loopReport(eventLoop, uptimeSeconds) };
  }

  #usage(): UsageReport | null {
    const { usage } = this.#options;
    if (usage === undefined) return null;
    const counts = usage
      .counts()
      .filter(({ keys, bytes, writes, watchers }) => keys + bytes + writes + watchers > 0)
      .sort((a, b) => b.bytes - a.bytes || b.writes - a.writes || (a.prefix < b.prefix ? -1 : 1));
    const further = counts.slice(MAX_PREFIXES);
    const sum = (read: (counts: PrefixReport) => number): number =>
      further.reduce((total, each) => total + read(each), 0);
    return {
      isComplete: usage.isComplete,
      prefixes: counts.slice(0, MAX_PREFIXES).map((each) => ({ ...each, prefix: cut(each.prefix) })),
      rest: {
        count: further.length,
        prefix: '',
        keys: sum(({ keys }) => keys),
        bytes: sum(({ bytes }) => bytes),
        historyBytes: sum(({ historyBytes }) => historyBytes),
        writes: sum(({ writes }) => writes),
        watchers: sum(({ watchers }) => watchers),
      },
    };
  }

  /** Only the leader knows the backups. If it does not answer, the figures are those of this member. */
  #backup(asked: ReadonlyMap<bigint, Asked>): BackupReport | null {
    const { member } = this.#options;
    const { lead } = member.consensus;
    const ofLeader = asked.get(lead)?.status?.backup;
    const counts = ofLeader ?? asked.get(member.identity.memberId)?.status?.backup;
    if (counts === undefined) return null;
    const number = (name: string): number => counts[name] ?? 0;
    return {
      memberId: ofLeader === undefined ? member.memberIdText : hex(lead),
      isLeader: ofLeader !== undefined,
      intervalSeconds: number('intervalSeconds'),
      lastSuccessMs: number('lastSuccessSeconds') * 1000,
      lastSizeBytes: number('lastSizeBytes'),
      lastVerifiedMs: number('lastVerifiedSeconds') * 1000,
      lastDurationSeconds: number('lastDurationSeconds'),
      failures: number('failures'),
      isInProgress: number('inProgress') > 0,
    };
  }
}

function figures({
  version,
  uptimeSeconds,
  term,
  committed,
  applied,
  revision,
  storeBytes,
}: RemoteStatus): MemberFigures {
  const unapplied = Math.max(0, committed - applied);
  return { version: cut(version), uptimeSeconds, term, unapplied, revision, storeBytes };
}

function alarmName(alarm: AlarmType): string {
  return Object.entries(AlarmType).find(([, value]) => value === alarm)?.[0] ?? `alarm ${alarm}`;
}

function cut(text: string): string {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`;
}
