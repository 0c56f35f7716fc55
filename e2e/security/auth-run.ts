import { createHmac } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { SeededRandom } from '../../src/lib/seeded-random.ts';
import {
  AlarmRequest,
  AuthEnableRequest,
  AuthenticateRequest,
  AuthRoleAddRequest,
  AuthUserAddRequest,
  AuthUserGrantRoleRequest,
  HashKVRequest,
  MemberAddRequest,
  RangeRequest,
} from '../../src/wire/gen/etcdserverpb.ts';
import type { LeaderKey } from '../../src/wire/gen/v3electionpb.ts';
import { Auth, KV, Maintenance } from '../../src/wire/services.ts';
import { comparable } from '../differential/comparable.ts';
import { plain } from '../differential/plain.ts';
import type { Progress } from '../differential/requests.ts';
import { withoutTies } from '../differential/ties.ts';
import type { Member } from '../harness/member.ts';
import type { Answer } from '../harness/rpc-client.ts';
import { OWN_PEER_URL } from './auth-admin-requests.ts';
import { AuthRequestMaker, passwordsOf, USERS } from './auth-requests.ts';
import { type Credentials, Side } from './auth-side.ts';
import { type AuthStep, step } from './auth-step.ts';

type Pair<T> = readonly [T, T];

const ENOUGH = 8;
const CHECKPOINT_EVERY = 200;
const OLD_REVISION = 'etcdserver: revision of auth store is old';

/** Sends one random sequence of requests of several users to two new servers, and records the differences. */
export class AuthRun {
  readonly differences: string[] = [];
  /** Answers by kind of request: how many were given, and how many of those refused somebody. */
  readonly seen = new Map<string, { all: number; refused: number; permitted: number }>();
  readonly #seed: number;
  readonly #random: SeededRandom;
  readonly #members: Pair<Member>;
  readonly #sides: Pair<Side>;
  readonly #progress: Progress = { revision: 1, compacted: 0 };
  readonly #maker: AuthRequestMaker;
  /** Every token that a user was given, on each server. */
  readonly #tokens = new Map<string, Pair<string>[]>();
  /** The secret of signed tokens, which are good on both servers. */
  readonly #secret: string | undefined;
  #index = -1;

  constructor(seed: number, members: Pair<Member>, secret: string | undefined) {
    this.#seed = seed;
    this.#random = new SeededRandom(seed);
    this.#members = members;
    this.#sides = [new Side(members[0].endpoint), new Side(members[1].endpoint)];
    this.#maker = new AuthRequestMaker(this.#random, this.#progress);
    this.#secret = secret;
  }

  async run(requests: number): Promise<void> {
    try {
      await this.#setRight();
      for (this.#index = 0; this.#index < requests; this.#index++) {
        if (this.differences.length >= ENOUGH) return;
        const next = this.#maker.next();
        await this.#send(next);
        if (next.label === 'disable' || this.#index % CHECKPOINT_EVERY === CHECKPOINT_EVERY - 1)
          await this.#setRight();
      }
      await this.#setRight();
    } finally {
      for (const side of this.#sides) side.close();
    }
  }

  async #send(next: AuthStep): Promise<void> {
    const random = this.#random;
    const who = next.by === 'root' && random.chance(0.75) ? 'root' : random.pick(USERS);
    const answer = await this.#both(next, this.#credentials(who), who);
    const isStale = 'code' in answer && (answer.code === 16 || answer.details === OLD_REVISION);
    if (isStale && random.chance(0.8)) await this.#login(who);
  }

  /** Chooses a valid token, or sometimes none, an expired one, or an invalid one. */
  #credentials(who: string): Pair<Credentials> {
    const random = this.#random;
    if (random.chance(0.05)) return [{}, {}];
    const tokens = this.#tokens.get(who) ?? [];
    let pair = tokens.at(-1);
    if (random.chance(0.06) && tokens.length > 0) pair = random.pick(tokens);
    if (random.chance(0.03)) pair = this.#madeUp(who);
    if (pair === undefined) return [{}, {}];
    // A signed token is as good on the server that didn't make it.
    const [first, second] = this.#secret !== undefined && random.chance(0.5) ? [pair[1], pair[0]] : pair;
    const kind = random.int(10);
    const as = (token: string): Credentials => {
      if (kind === 0) return { authorization: token };
      // A value that ends with a blank is none in HTTP/2.
      if (kind === 1 && token !== '') return { authorization: `Bearer ${token}` };
      if (kind === 2) return { token, authorization: 'Bearer nonsense' };
      return { token };
    };
    return [as(first), as(second)];
  }

  #madeUp(who: string): Pair<string> {
    const random = this.#random;
    const claims = {
      username: random.pick([who, 'nobody', '', 7]),
      revision: random.pick([0, 1, 1_000_000, 1.5, '1', undefined]),
      exp: random.pick([4_000_000_000, 1, undefined]),
    };
    const token =
      this.#secret === undefined || random.chance(0.3)
        ? random.pick(['', 'x', 'made.up', 'abcdefghijklmnop.7', '..', '.1', 'Bearer x', 'a.b.c', 'x.-1'])
        : signed(this.#secret, random.pick(['HS256', 'HS256', 'HS512', 'none']), claims);
    return [token, token];
  }

  async #both(next: AuthStep, by: Pair<Credentials>, who: string): Promise<Answer> {
    const { label, method, request, onlyFirst } = next;
    const answers = (await Promise.all(
      this.#sides.map((side, at) => {
        const member = this.#members[at === 0 ? 0 : 1];
        return side.call(method, atHome(request, member), by[at === 0 ? 0 : 1], onlyFirst);
      }),
    )) as [Answer, Answer];
    const [etcd, other] = answers.map((answer) => settled(label, plain(request), answer));
    const [first] = answers;
    this.#count(label, first);
    if (!isDeepStrictEqual(etcd, other)) this.#report(next, by, who, [etcd, other]);
    if ('messages' in first) this.#learn(next, answers);
    return first;
  }

  #count(label: string, answer: Answer): void {
    const seen = this.seen.get(label) ?? { all: 0, refused: 0, permitted: 0 };
    this.seen.set(label, seen);
    seen.all++;
    const reason =
      'code' in answer
        ? answer.details
        : (answer.messages as { cancelReason?: string }[]).map((each) => each.cancelReason ?? '').join('');
    if (reason === '') seen.permitted++;
    if (reason.includes('permission denied')) seen.refused++;
  }

  #report(next: AuthStep, by: Pair<Credentials>, who: string, answers: readonly unknown[]): void {
    const [etcd, other] = answers.map((answer) => JSON.stringify(answer).slice(0, 700));
    const asked = JSON.stringify(plain(next.request)).slice(0, 1200);
    this.differences.push(
      `seed ${this.#seed}, request ${this.#index}: ${next.label} by ${who} (${Object.keys(by[0]).join()}) ${asked}\n` +
        `  etcd:  ${etcd ?? ''}\n  other: ${other ?? ''}`,
    );
  }

  /** Updates the known state from a response of etcd, and records the tokens of both responses. */
  #learn({ label, request }: AuthStep, answers: Pair<Answer>): void {
    const [first, second] = answers.map((answer) => ('messages' in answer ? answer.messages[0] : {})) as [
      { header?: { revision?: number }; token?: string; leader?: LeaderKey },
      { token?: string },
    ];
    const revision = first.header?.revision ?? 0;
    if (revision > 0) this.#progress.revision = revision;
    if (label === 'compact')
      this.#progress.compacted = Math.max(
        this.#progress.compacted,
        (request as { revision: number }).revision,
      );
    if (label === 'campaign') this.#maker.elected(first.leader);
    if (first.token === undefined || second.token === undefined) return;
    const { name } = request as { name: string };
    const tokens = this.#tokens.get(name) ?? [];
    tokens.push([first.token, second.token]);
    this.#tokens.set(name, tokens.slice(-20));
  }

  async #login(name: string): Promise<void> {
    for (const password of passwordsOf(name)) {
      const request = AuthenticateRequest.create({ name, password });
      const answer = await this.#both(step('login', Auth.methods.authenticate, request), [{}, {}], name);
      if ('messages' in answer) return;
    }
  }

  /** Enables auth again with a root user that may do everything, and compares the data of both servers. */
  async #setRight(): Promise<void> {
    const { methods } = Auth;
    const asRoot = async (next: AuthStep): Promise<void> => {
      const pair = this.#tokens.get('root')?.at(-1);
      const by: Pair<Credentials> = pair === undefined ? [{}, {}] : [{ token: pair[0] }, { token: pair[1] }];
      await this.#both(next, by, 'root');
    };
    await this.#login('root');
    const root = AuthUserAddRequest.create({ name: 'root', password: 'root' });
    await asRoot(step('user add', methods.userAdd, root));
    await asRoot(step('role add', methods.roleAdd, AuthRoleAddRequest.create({ name: 'root' })));
    const role = AuthUserGrantRoleRequest.create({ user: 'root', role: 'root' });
    await asRoot(step('grant role', methods.userGrantRole, role));
    await asRoot(step('enable', methods.authEnable, AuthEnableRequest.create()));
    for (const name of USERS) await this.#login(name);
    const calm = AlarmRequest.create({ action: 2, memberId: 7n, alarm: 1 });
    await asRoot(step('alarm deactivate', Maintenance.methods.alarm, calm));
    const zero = Buffer.from([0]);
    const all = RangeRequest.create({ key: zero, rangeEnd: zero });
    await asRoot(step('range', KV.methods.range, all));
    await asRoot(step('hash kv', Maintenance.methods.hashKv, HashKVRequest.create()));
  }
}

/** Returns a request with the values for one of the servers. */
function atHome(request: unknown, member: Member): unknown {
  if (!isFields(request) || !Array.isArray(request['peerUrls'])) return request;
  if (!request['peerUrls'].includes(OWN_PEER_URL)) return request;
  return MemberAddRequest.create({ ...request, peerUrls: [`http://127.0.0.1:${member.peerPort}`] });
}

/** Returns a response without the values that each server chooses itself. */
function settled(label: string, asked: unknown, answer: Answer): unknown {
  const compared = comparable(answer);
  if (!Array.isArray(compared)) return withoutTies(asked, compared);
  return compared.map((message: unknown) => {
    if (!isFields(message)) return message;
    if ('token' in message) return { ...message, token: message['token'] !== '' };
    if (label === 'snapshot') return 'a part of a snapshot';
    if (label === 'hash') return { ...message, hash: 'of other files' };
    if (label === 'status') {
      const { header, version, isLearner, errors, storageVersion, downgradeInfo } = message;
      return { header, version, isLearner, errors, storageVersion, downgradeInfo };
    }
    return withoutTies(asked, message);
  });
}

function signed(secret: string, alg: string, claims: unknown): string {
  const encode = (part: unknown): string => Buffer.from(JSON.stringify(part)).toString('base64url');
  const text = `${encode({ alg, typ: 'JWT' })}.${encode(claims)}`;
  if (alg === 'none') return `${text}.`;
  const signature = createHmac(alg === 'HS512' ? 'sha512' : 'sha256', secret).update(text);
  return `${text}.${signature.digest('base64url')}`;
}

function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
