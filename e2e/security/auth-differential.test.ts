import { isDeepStrictEqual } from 'node:util';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/lib/seeded-random.ts';
import {
  AuthenticateRequest,
  AuthEnableRequest,
  AuthRoleAddRequest,
  AuthUserAddRequest,
  AuthUserGrantRoleRequest,
} from '../../src/wire/gen/etcdserverpb.ts';
import { Auth } from '../../src/wire/services.ts';
import { comparable } from '../differential/comparable.ts';
import { plain } from '../differential/plain.ts';
import { Member, serverUnderTest } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import type { Answer, Method } from '../harness/rpc-client.ts';
import { AuthRequestMaker } from './auth-requests.ts';

const missing = missingPeers('etcd');
const requests = Number(process.env['KEYSTEAD_AUTH_REQUESTS'] ?? 3_000);
const seeds = Number(process.env['KEYSTEAD_AUTH_SEEDS'] ?? 2);
const WHO = ['root', 'alice', 'bob', 'carol'];

type Generic = Method<unknown, unknown>;

/** One server as several users see it. */
class Side {
  readonly #client: Client;
  readonly #tokens = new Map<string, string>();

  constructor(endpoint: string) {
    this.#client = new Client(endpoint, credentials.createInsecure());
  }

  async send(method: Generic, request: unknown, who?: string): Promise<Answer> {
    const token = who === undefined ? undefined : this.#tokens.get(who);
    const answer = await this.#call(method, request, token);
    const invalid = 'code' in answer && answer.code === 16;
    if (!invalid || who === undefined) return answer;
    // As clients do: a token that has ended is replaced once.
    await this.login(who);
    return this.#call(method, request, this.#tokens.get(who));
  }

  async login(who: string): Promise<void> {
    const request = AuthenticateRequest.create({ name: who, password: who });
    const answer = await this.#call(Auth.methods.authenticate, request, undefined);
    if ('messages' in answer) this.#tokens.set(who, (answer.messages[0] as { token: string }).token);
  }

  close(): void {
    this.#client.close();
  }

  #call(method: Generic, request: unknown, token: string | undefined): Promise<Answer> {
    const metadata = new Metadata();
    if (token !== undefined) metadata.set('token', token);
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(
        method.path,
        (message: unknown) => method.request.encode(message),
        (bytes: Buffer) => method.response.decode(bytes),
        request,
        metadata,
        { deadline: Date.now() + 10_000 },
        (error, response) => {
          resolve(error === null ? { messages: [response] } : { code: error.code, details: error.details });
        },
      );
    });
  }
}

describe.skipIf(missing !== undefined)(`users, roles and permissions as etcd's ${missing ?? ''}`, () => {
  for (let seed = 1; seed <= seeds; seed++) {
    it(`${requests} requests of seed ${seed}`, async () => {
      const flags = ['--bcrypt-cost=4'];
      const members = await Promise.all([
        Member.start({ kind: 'etcd', name: 'same', flags }),
        Member.start({ kind: serverUnderTest, name: 'same', flags }),
      ]);
      const sides = members.map(({ endpoint }) => new Side(endpoint)) as [Side, Side];
      try {
        expect((await run(sides, seed)).join('\n\n')).toBe('');
      } finally {
        for (const side of sides) side.close();
        await Promise.all(members.map((member) => member.destroy()));
      }
    }, 300_000);
  }
});

async function run(sides: [Side, Side], seed: number): Promise<string[]> {
  const random = new SeededRandom(seed);
  const maker = new AuthRequestMaker(random);
  const differences: string[] = [];
  const both = async (method: Generic, request: unknown, who?: string): Promise<[unknown, unknown]> => {
    const answers = await Promise.all(sides.map((side) => side.send(method, request, who)));
    return answers.map((answer) => withoutChance(comparable(answer))) as [unknown, unknown];
  };
  const enable = async (): Promise<void> => {
    await enableAuth(both);
    for (const side of sides) for (const who of WHO) await side.login(who);
  };
  await enable();
  for (let index = 0; index < requests && differences.length < 8; index++) {
    const { label, method, request } = maker.next();
    // Mostly root changes users and roles, and mostly the others are held to them.
    const who = random.chance(0.05) ? undefined : random.chance(0.55) ? 'root' : random.pick(WHO);
    const [etcd, other] = await both(method, request, who);
    if (!isDeepStrictEqual(etcd, other)) {
      const [a, b] = [etcd, other].map((answer) => JSON.stringify(answer).slice(0, 600));
      const asked = JSON.stringify(plain(request)).slice(0, 900);
      differences.push(
        `seed ${seed}, request ${index}: ${label} by ${who ?? 'nobody'} ${asked}\n  etcd:  ${a}\n  other: ${b}`,
      );
    }
    // Without root and its role nothing could change any more.
    if (label === 'disable' || index % 200 === 199) await enable();
  }
  return differences;
}

type Both = (method: Generic, request: unknown, who?: string) => Promise<[unknown, unknown]>;

async function enableAuth(both: Both): Promise<void> {
  const { methods } = Auth;
  const steps: [unknown, unknown][] = [
    [methods.userAdd, AuthUserAddRequest.create({ name: 'root', password: 'root' })],
    [methods.roleAdd, AuthRoleAddRequest.create({ name: 'root' })],
    [methods.userGrantRole, AuthUserGrantRoleRequest.create({ user: 'root', role: 'root' })],
    [methods.authEnable, AuthEnableRequest.create()],
  ];
  for (const [method, request] of steps) {
    const [etcd, other] = await both(method as Generic, request, 'root');
    expect(other).toEqual(etcd);
  }
}

/** Go's sort keeps the order of equal keys up to this many elements. */
const STABLE_LENGTH = 12;

/** Tokens are drawn by each server for itself; and the order of many permissions on equal keys is left open. */
function withoutChance(answer: unknown): unknown {
  if (!Array.isArray(answer)) return answer;
  return answer.map((message: unknown) => {
    if (typeof message !== 'object' || message === null) return message;
    if ('token' in message) return { ...message, token: message.token !== '' };
    if (!('perm' in message) || !Array.isArray(message.perm) || message.perm.length <= STABLE_LENGTH)
      return message;
    return { ...message, perm: message.perm.map((perm) => JSON.stringify(perm)).sort() };
  });
}
