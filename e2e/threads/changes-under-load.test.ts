import { afterEach, describe, expect, it } from 'vitest';
import { PutRequest, RangeRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { Member, serverUnderTest } from '../harness/member.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';
import { AuthServer, outcome } from '../security/auth-server.ts';
import { threadsUnderTest } from './thread-count.ts';

const CLIENTS = 8;
/** Answers that each client gets between two changes. */
const ANSWERS = 10;
const KEY = 'a';

const OK = 'ok';
const DENIED = '7 etcdserver: permission denied';
const INVALID = '16 etcdserver: invalid auth token';
/** Of a request that was checked before a change and applied after it. */
const OLD = '3 etcdserver: revision of auth store is old';

/**
 * Puts and gets of one user on many connections, which are spread over the serving threads. Between two changes of users
 * the answer is known: a request that was sent after the response to a change must see the change on each thread.
 */
class Load {
  readonly wrong: string[] = [];
  readonly #endpoint: string;
  readonly #running: Promise<void>[];
  #isRunning = true;
  #token: string;
  /** Counts the beginnings and ends of changes, so it is odd while one is under way. */
  #moment = 0;
  #expected = OK;
  #answers = new Array<number>(CLIENTS).fill(0);

  constructor(endpoint: string, token: string) {
    this.#endpoint = endpoint;
    this.#token = token;
    this.#running = Array.from({ length: CLIENTS }, (_, client) => this.#run(client));
  }

  /** Makes a change or gets a new token, and waits until all clients have had enough answers after it. */
  async change(expected: string, make: () => Promise<unknown>): Promise<void> {
    this.#moment += 1;
    const made = await make();
    if (typeof made === 'string') this.#token = made;
    this.#expected = expected;
    this.#answers.fill(0);
    this.#moment += 1;
    await eventually(
      `answers after a change: ${expected}`,
      () => this.wrong.length > 0 || this.#answers.every((count) => count >= ANSWERS),
    );
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await Promise.all(this.#running);
  }

  async #run(client: number): Promise<void> {
    for (let turn = 0; this.#isRunning; turn += 1) {
      // A new connection now and then, which may be that of another thread.
      const connection = new RpcClient(this.#endpoint, {
        token: this.#token,
        channel: { 'grpc.use_local_subchannel_pool': 1 },
      });
      const token = this.#token;
      for (let call = 0; call < ANSWERS && this.#continues(token); call += 1)
        await this.#ask(client, connection, (turn + call) % 2 === 0);
      connection.close();
    }
  }

  #continues(token: string): boolean {
    return this.#isRunning && token === this.#token;
  }

  async #ask(client: number, connection: RpcClient, isPut: boolean): Promise<void> {
    const [moment, expected] = [this.#moment, this.#expected];
    const key = Buffer.from(KEY);
    const answer = outcome(
      isPut
        ? await connection.unary(KV.methods.put, PutRequest.create({ key, value: Buffer.from('v') }))
        : await connection.unary(KV.methods.range, RangeRequest.create({ key })),
    );
    const isBetweenChanges = moment === this.#moment && moment % 2 === 0;
    if (!isBetweenChanges) {
      if (![OK, DENIED, INVALID, OLD].includes(answer)) this.wrong.push(`during a change: ${answer}`);
      return;
    }
    this.#answers[client] = (this.#answers[client] ?? 0) + 1;
    if (answer !== expected) this.wrong.push(`${isPut ? 'put' : 'get'}: ${answer} instead of ${expected}`);
  }
}

describe.skipIf(serverUnderTest === 'etcd').each([
  ['without serving threads', '0'],
  ['with serving threads', threadsUnderTest],
])('changes of users under load %s', (_name, threads) => {
  let server: AuthServer | undefined;
  let load: Load | undefined;
  afterEach(async () => {
    await load?.stop();
    await server?.stop();
  });

  it('hold for each request that is sent after them', async () => {
    const member = await Member.start({
      kind: 'keystead',
      flags: ['--bcrypt-cost=4', `--keystead-serving-threads=${threads}`],
    });
    const users = new AuthServer(member);
    server = users;
    await users.enable();
    await users.addRole('r');
    await users.grant('r', 'READWRITE', KEY);
    await users.addUser('alice', 'r');
    const running = new Load(member.endpoint, await users.login('alice'));
    load = running;
    await running.change(OK, () => Promise.resolve());
    await running.change(DENIED, () => users.revoke('r', KEY));
    await running.change(OK, () => users.grant('r', 'READWRITE', KEY));
    await running.change(INVALID, () => users.changePassword('alice', 'another'));
    await running.change(OK, () => users.login('alice', 'another'));
    await running.change(INVALID, () => users.deleteUser('alice'));
    await running.change(OK, async () => {
      await users.addUser('alice', 'r');
      return users.login('alice');
    });
    // Nobody asks for a token, also for one that is no longer valid.
    await running.change(OK, () => users.disable());
    expect(running.wrong).toEqual([]);
  });
});
