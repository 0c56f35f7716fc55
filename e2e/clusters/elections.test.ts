import { type ChildProcess, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MemberListRequest, PutRequest, RangeRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { Cluster, KV } from '../../src/wire/services.ts';
import { Member, serverUnderTest } from '../harness/member.ts';
import { findLeader } from '../harness/leader.ts';
import { freePort } from '../harness/ports.ts';
import { Relay } from '../harness/relay.ts';
import { type Answer, RpcClient, withClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';

/*
 * Measures elections of real processes. KEYSTEAD_E2E_SERVER=etcd measures etcd, KEYSTEAD_FAILOVER_ROUNDS sets the number
 * of faults of each kind.
 */

const rounds = Number(process.env['KEYSTEAD_FAILOVER_ROUNDS'] ?? '2');
const STOPPED_MS = 3_000;
const ATTEMPT_MS = 400;
/** Generous, as the machine that runs the tests may be busy; etcd needs up to two election timeouts. */
const LONGEST_GAP_MS = 8_000;
const BURN_SECONDS = 25;

interface Place {
  readonly member: Member;
  readonly relay: Relay;
}

async function found(): Promise<Place[]> {
  const names = ['a', 'b', 'c'];
  const places: { name: string; peerPort: number; relayPort: number }[] = [];
  for (const name of names) places.push({ name, peerPort: await freePort(), relayPort: await freePort() });
  const initial = places.map(({ name, relayPort }) => `${name}=http://127.0.0.1:${relayPort}`).join(',');
  return Promise.all(
    places.map(async ({ name, peerPort, relayPort }) => {
      const relay = await Relay.open(relayPort, peerPort);
      const member = await Member.start({
        kind: serverUnderTest,
        name,
        peerPort,
        readyTimeoutMs: 60_000,
        flags: [
          `--initial-advertise-peer-urls=http://127.0.0.1:${relayPort}`,
          `--initial-cluster=${initial}`,
        ],
      });
      return { member, relay };
    }),
  );
}

function isDone(answer: Answer): boolean {
  return 'messages' in answer;
}

/** Sends puts to one member, one after the other, and measures the longest time without a success. */
class Puts {
  readonly #client: RpcClient;
  #isOver = false;
  #lastMs = performance.now();
  #longestMs = 0;
  readonly #running: Promise<void>;

  constructor(member: Member) {
    this.#client = new RpcClient(member.endpoint, { timeoutMs: ATTEMPT_MS });
    this.#running = this.#run();
  }

  /** Milliseconds of the longest time between two successes, up to one after this call. */
  async longestGapMs(): Promise<number> {
    const calledMs = performance.now();
    await eventually('a put', () => this.#lastMs > calledMs, { timeoutMs: 30_000, everyMs: 5 });
    this.#isOver = true;
    await this.#running;
    this.#client.close();
    return Math.round(this.#longestMs);
  }

  async #run(): Promise<void> {
    const request = PutRequest.create({ key: Buffer.from('key'), value: Buffer.from('value') });
    while (!this.#isOver) {
      if (isDone(await this.#client.unary(KV.methods.put, request))) {
        const nowMs = performance.now();
        this.#longestMs = Math.max(this.#longestMs, nowMs - this.#lastMs);
        this.#lastMs = nowMs;
      }
      await sleep(5);
    }
  }
}

/** Keeps all processors busy, for a bounded time. */
class Burners {
  readonly #children: ChildProcess[] = Array.from({ length: 2 * availableParallelism() }, () =>
    spawn('timeout', [String(BURN_SECONDS), 'sh', '-c', 'while :; do :; done'], { stdio: 'ignore' }),
  );

  stop(): void {
    for (const child of this.#children) child.kill();
  }
}

describe('elections of three members', () => {
  let places: Place[] = [];
  const figures: string[] = [];
  beforeAll(async () => {
    places = await found();
  });
  afterAll(async () => {
    console.log(`${serverUnderTest}, longest time without a successful put:\n${figures.join('\n')}`);
    for (const { relay } of places) relay.close();
    await Promise.all(places.map(({ member }) => member.destroy()));
  });

  const leader = (): Promise<Member> =>
    findLeader(
      places.map(({ member }) => member),
      { timeoutMs: 30_000 },
    );

  const follower = (of: Member): Member => {
    const found = places.find(({ member }) => member !== of)?.member;
    if (found === undefined) throw new Error('there are three members');
    return found;
  };

  /** Makes a fault some times, and notes the longest gaps. @param made resolves when the fault is over */
  const measure = async (
    name: string,
    made: (leading: Member, asked: Member) => Promise<void>,
  ): Promise<void> => {
    const gapsMs: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const leading = await leader();
      const asked = follower(leading);
      const puts = new Puts(asked);
      await sleep(500);
      await made(leading, asked);
      gapsMs.push(await puts.longestGapMs());
    }
    figures.push(`${name}: ${gapsMs.join(', ')} ms`);
    expect(Math.max(...gapsMs), name).toBeLessThan(LONGEST_GAP_MS);
  };

  it('a leader keeps its leadership when all its connections are cut', async () => {
    await measure('all connections cut', async (leading) => {
      for (const { relay } of places) relay.cut();
      await sleep(1500);
      expect((await leader()).name).toBe(leading.name);
    });
  });

  it('a follower that was stopped for a while does not cause an election', async () => {
    await measure('a follower stopped', async (leading, asked) => {
      const stopped = places.find(({ member }) => member !== leading && member !== asked)?.member;
      stopped?.program.signal('SIGSTOP');
      await sleep(STOPPED_MS);
      stopped?.program.signal('SIGCONT');
      await sleep(1000);
      expect((await leader()).name).toBe(leading.name);
    });
  });

  it('a leader that was stopped for a while is replaced, and then follows the new leader', async () => {
    await measure('the leader stopped', async (leading) => {
      leading.program.signal('SIGSTOP');
      await sleep(STOPPED_MS);
      leading.program.signal('SIGCONT');
      expect((await leader()).name).not.toBe(leading.name);
    });
  });

  it('a leader that is killed is replaced', async () => {
    await measure('the leader killed', async (leading) => {
      await leading.kill();
      await sleep(2500);
      await leading.start();
    });
  });

  it('elections work on a busy machine', async () => {
    await measure('the leader killed on a busy machine', async (leading) => {
      const burners = new Burners();
      try {
        await sleep(1000);
        await leading.kill();
        await sleep(5000);
      } finally {
        burners.stop();
      }
      await leading.start();
    });
  });

  it('without a quorum linearizable reads fail as in etcd, and serializable reads work', async () => {
    const [first, ...others] = places.map(({ member }) => member);
    if (first === undefined) throw new Error('there are three members');
    for (const member of others) await member.kill();
    // It must first notice that the others are gone.
    await sleep(2500);
    const key = Buffer.from('key');
    await withClient(first.endpoint, async (client) => {
      const startedMs = performance.now();
      const [range, members, ready, local] = await Promise.all([
        client.unary(KV.methods.range, RangeRequest.create({ key })),
        client.unary(Cluster.methods.memberList, MemberListRequest.create({ linearizable: true })),
        fetch(`${first.clientUrl}/readyz`).then((response) => response.status),
        client.unary(KV.methods.range, RangeRequest.create({ key, serializable: true })),
      ]);
      const tookMs = performance.now() - startedMs;
      figures.push(`reads without a quorum ended after ${Math.round(tookMs)} ms`);
      const timedOut = { code: 14, details: 'etcdserver: request timed out' };
      expect({ range, members, ready }).toEqual({ range: timedOut, members: timedOut, ready: 503 });
      expect(isDone(local)).toBe(true);
      expect(tookMs).toBeGreaterThan(6_000);
      expect(tookMs).toBeLessThan(16_000);
    });
    await Promise.all(others.map((member) => member.start()));
    await leader();
  });
});
