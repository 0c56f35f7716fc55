import { describe, expect, it } from 'vitest';
import { Member, SafetyChecks, deepFreeze } from './testing/cluster.ts';
import type { ClusterOptions } from './testing/cluster.ts';
import { ConfChangeTransition, ConfChangeType, Role } from './types.ts';
import type { ConfChangeSingle, Message } from './types.ts';

/** mulberry32: small, and good enough to choose what happens next. */
function seededInt(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * bound);
  };
}

/** Five members, of which at least three vote at any time; everything that happens follows from the seed. */
class RandomHistory {
  readonly #randomInt: (bound: number) => number;
  readonly #members: Member[];
  #network: Message[] = [];
  readonly #checks = new SafetyChecks();
  #proposals = 0;
  readonly #cut = new Set<bigint>();

  constructor(seed: number, options: ClusterOptions) {
    this.#randomInt = seededInt(seed);
    const confState = {
      voters: [1n, 2n, 3n],
      learners: [4n],
      votersOutgoing: [],
      learnersNext: [],
      autoLeave: false,
    };
    this.#members = [1n, 2n, 3n, 4n, 5n].map((id) => new Member(id, confState, options, this.#randomInt));
  }

  #chance(percent: number): boolean {
    return this.#randomInt(100) < percent;
  }

  run(steps: number): void {
    for (let i = 0; i < steps; i++) {
      const member = this.#members[this.#randomInt(this.#members.length)]!;
      this.#act(member);
      this.#settle(member);
    }
  }

  #act(member: Member): void {
    const choice = this.#randomInt(200);
    if (choice < 60) this.#deliver(this.#randomInt(Math.max(1, this.#network.length)));
    else if (choice < 95) member.node.tick();
    else if (choice < 125) this.#route(member.finishWrite());
    else if (choice < 150) this.#route(member.finishApply((entry) => this.#checks.applied(entry)));
    else if (choice < 175) member.node.propose(Buffer.from(`p${this.#proposals++}`));
    else if (choice < 180) this.#changeMembership(member);
    else if (choice < 183) member.compact();
    else if (choice < 185) member.node.transferLeader(BigInt(1 + this.#randomInt(5)));
    else if (choice < 187) member.crash();
    else if (choice < 189) this.#cut.add(member.id);
    else if (choice < 194) this.#cut.clear();
    else if (choice < 196) member.node.reportUnreachable(BigInt(1 + this.#randomInt(5)));
    else if (choice < 197) member.node.reportSnapshot(BigInt(1 + this.#randomInt(5)), 'failed');
    else member.node.readIndex(Buffer.from('r'));
  }

  #changeMembership({ node }: Member): void {
    if (node.role !== Role.Leader) return;
    const { voters } = node.status().config;
    if (voters.outgoing.size > 0) {
      node.proposeConfChange(undefined);
      return;
    }
    const changes: ConfChangeSingle[] = [];
    let left = voters.incoming.size;
    for (let k = 1 + this.#randomInt(3); k > 0; k--) {
      const nodeId = BigInt(1 + this.#randomInt(5));
      if (changes.some((change) => change.nodeId === nodeId)) continue;
      const type = this.#randomInt(4) as ConfChangeType;
      const removes =
        type !== ConfChangeType.ConfChangeAddNode && type !== ConfChangeType.ConfChangeUpdateNode;
      if (removes && voters.incoming.has(nodeId) && --left < 3) continue;
      changes.push({ type, nodeId });
    }
    if (changes.length === 0) return;
    const transitions = Object.values(ConfChangeTransition);
    const transition = transitions[this.#randomInt(transitions.length)]!;
    node.proposeConfChange({ transition, changes, context: undefined });
  }

  #settle(member: Member): void {
    this.#route(member.turn());
    this.#checks.observe(member);
  }

  #route(messages: readonly Message[]): void {
    for (const message of messages) {
      deepFreeze(message);
      // What a member says to itself is never lost.
      if (message.from === message.to || message.from > 5n) this.#hand(message);
      else this.#network.push(message);
    }
  }

  #hand(message: Message): void {
    const member = this.#members[Number(message.to) - 1]!;
    member.node.step(message);
    this.#settle(member);
  }

  #deliver(at: number): void {
    const message = this.#network[at];
    if (message === undefined) return;
    if (!this.#chance(5)) this.#network.splice(at, 1); // Else it comes again.
    if (this.#cut.has(message.from) || this.#cut.has(message.to) || this.#chance(5)) return;
    this.#hand(message);
  }

  /** Removes all faults: the members must agree and make progress. */
  heal(): void {
    this.#cut.clear();
    for (let round = 0; round < 400; round++) {
      for (const member of this.#members) {
        member.node.tick();
        // That a snapshot was lost is for the application to say.
        if (round % 20 === 0) for (const { id } of this.#members) member.node.reportSnapshot(id, 'failed');
        if (round < 200 && this.#chance(20)) member.node.propose(Buffer.from(`p${this.#proposals++}`));
        member.compact();
        this.#settle(member);
        while (member.writes.length > 0) this.#route(member.finishWrite());
        while (member.toApply.length > 0)
          this.#route(member.finishApply((entry) => this.#checks.applied(entry)));
      }
      for (let left = this.#network.length; left > 0; left--) {
        const message = this.#network.shift();
        if (message !== undefined) this.#hand(message);
      }
    }
  }

  verify(): { commits: number; elections: number } {
    // A leader that was removed does not always hear of it, and stays leader of its term.
    const leaders = this.#members.filter(({ node }) => node.role === Role.Leader);
    const leader = leaders.sort((a, b) => b.node.term - a.node.term)[0];
    expect(leader?.node.committed, 'there is a leader, which has committed everything').toBe(
      leader?.node.lastIndex,
    );
    const { voters, learners } = leader!.node.confState();
    for (const id of [...voters, ...learners]) {
      const member = this.#members[Number(id) - 1]!;
      expect(member.node.applied).toBe(leader!.node.applied);
      expect(member.state).toEqual(leader!.state);
    }
    return { commits: this.#checks.commits, elections: this.#checks.elections };
  }
}

const variants: Readonly<Record<string, ClusterOptions>> = {
  plain: {},
  'pre-vote and quorum check': { preVote: true, checkQuorum: true },
  'small messages': { maxSizePerMessage: 16, maxCommittedSizePerReady: 40, preVote: true },
  'step down on removal': { stepDownOnRemoval: true, checkQuorum: true, preVote: true },
};

describe.each(Object.entries(variants))(
  'random histories with crashes, loss and changes: %s',
  (_, options) => {
    it.each([1, 2, 3, 4, 5, 6, 7, 8])('seed %i', (seed) => {
      const history = new RandomHistory(seed, options);
      history.run(6000);
      history.heal();
      const { commits, elections } = history.verify();
      expect(commits).toBeGreaterThan(100);
      expect(elections).toBeGreaterThan(1);
    });
  },
);
