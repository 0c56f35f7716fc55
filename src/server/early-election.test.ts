import { describe, expect, it } from 'vitest';
import { None, Role } from '../raft/types.ts';
import { EarlyElection, type ElectingMember } from './early-election.ts';

const HEARTBEAT_MS = 100;

/** Three voters with the ids 1 to 3, seen from one of them, which knows no leader. */
class Voters {
  readonly campaignsMs: number[] = [];
  readonly election: EarlyElection;
  #nowMs = 0;
  #tasks: { atMs: number; task: () => void }[] = [];

  constructor(own: bigint, connected: readonly bigint[]) {
    const member: ElectingMember = {
      config: { heartbeatIntervalMs: HEARTBEAT_MS, electionTimeoutMs: 1000 },
      clock: { now: () => this.#nowMs },
      scheduler: {
        after: (delayMs, task) => {
          const each = { atMs: this.#nowMs + delayMs, task };
          this.#tasks.push(each);
          return () => {
            this.#tasks = this.#tasks.filter((other) => other !== each);
          };
        },
        every: () => () => undefined,
      },
      identity: { memberId: own },
      cluster: {
        votingMembers: () =>
          [1n, 2n, 3n].map((id) => ({ id, name: '', peerUrls: [], clientUrls: [], isLearner: false })),
      },
      consensusInput: {
        lead: None,
        role: Role.Follower,
        term: 1,
        vote: None,
        campaign: () => void this.campaignsMs.push(this.#nowMs),
      },
    };
    this.election = new EarlyElection(member, {
      activeSince: (id) => (connected.includes(id) ? 0 : undefined),
      roundTripMs: () => undefined,
    });
  }

  passTo(nowMs: number): void {
    while (this.#nowMs < nowMs) {
      this.#nowMs += 1;
      const due = this.#tasks.filter(({ atMs }) => atMs <= this.#nowMs);
      this.#tasks = this.#tasks.filter((each) => !due.includes(each));
      for (const { task } of due) task();
    }
  }
}

describe('the first election after a start', () => {
  it('does not wait for the turn of a voter that is not connected yet', () => {
    const voters = new Voters(2n, [3n]);
    voters.election.begin(None);
    voters.passTo(HEARTBEAT_MS / 2);
    expect(voters.campaignsMs).toHaveLength(1);
  });

  it('waits for the turn of a connected voter with a lower id', () => {
    const voters = new Voters(2n, [1n, 3n]);
    voters.election.begin(None);
    voters.passTo(HEARTBEAT_MS - 1);
    expect(voters.campaignsMs).toEqual([]);
    voters.passTo(HEARTBEAT_MS + 1);
    expect(voters.campaignsMs).toEqual([HEARTBEAT_MS]);
  });

  it('skips the turn of a voter that has just voted for another one', () => {
    const voters = new Voters(2n, [3n]);
    voters.election.voted();
    voters.election.begin(None);
    voters.passTo(HEARTBEAT_MS - 1);
    expect(voters.campaignsMs).toEqual([]);
  });
});

describe('the election after the leader has gone', () => {
  it('gives a turn to all other voters, because a lost connection may be of this member only', () => {
    const voters = new Voters(3n, []);
    voters.election.begin(1n);
    voters.passTo(HEARTBEAT_MS - 1);
    expect(voters.campaignsMs).toEqual([]);
    voters.passTo(HEARTBEAT_MS + 1);
    expect(voters.campaignsMs).toEqual([HEARTBEAT_MS]);
  });
});
