import { afterAll, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/lib/seeded-random.ts';
import { PutRequest, RangeRequest, type RangeResponse } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { Member } from '../harness/member.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';

const rounds = Number(process.env['KEYSTEAD_RESTART_ROUNDS'] ?? 6);
const valueBytes = Number(process.env['KEYSTEAD_RESTART_VALUE_BYTES'] ?? 16 << 10);
const WRITERS = 64;

/** Each writer has one key. Its values begin with an increasing number. */
class Writers {
  readonly #acknowledged = new Array<number>(WRITERS).fill(0);
  readonly #sent = new Array<number>(WRITERS).fill(0);
  total = 0;

  /** Puts at the highest rate until the member is gone. */
  async writeUntilFailure(client: RpcClient): Promise<void> {
    await Promise.all(Array.from({ length: WRITERS }, (_, writer) => this.#write(client, writer)));
  }

  async #write(client: RpcClient, writer: number): Promise<void> {
    for (;;) {
      const number = (this.#sent[writer] ?? 0) + 1;
      this.#sent[writer] = number;
      const value = Buffer.alloc(valueBytes, `${number} `);
      const answer = await client.unary(
        KV.methods.put,
        PutRequest.create({ key: Buffer.from(String(writer)), value }),
      );
      if ('code' in answer) return;
      this.#acknowledged[writer] = number;
      this.total += 1;
    }
  }

  async expectKept(client: RpcClient): Promise<void> {
    for (let writer = 0; writer < WRITERS; writer += 1) {
      const answer = await client.unary(
        KV.methods.range,
        RangeRequest.create({ key: Buffer.from(String(writer)) }),
      );
      if ('code' in answer) expect.fail(`reading key ${writer}: ${answer.code} ${answer.details}`);
      const [found] = answer.messages as RangeResponse[];
      const kept = Number.parseInt(found?.kvs[0]?.value.toString('latin1', 0, 12) ?? '0', 10);
      expect(kept).toBeGreaterThanOrEqual(this.#acknowledged[writer] ?? 0);
      expect(kept).toBeLessThanOrEqual(this.#sent[writer] ?? 0);
    }
  }
}

// Log segments have their real size here, so a segment is used while it is still being prepared, and others are removed.
describe('a busy member', () => {
  let member: Member | undefined;
  afterAll(() => member?.destroy());

  it(`starts again after each of ${rounds} stops, kill -9 and SIGTERM by turns`, async () => {
    const random = new SeededRandom(9);
    member = await Member.start({ kind: 'keystead', name: 'busy', flags: ['--snapshot-count=1500'] });
    const load = new Writers();
    for (let round = 0; round < rounds; round += 1) {
      const client = new RpcClient(member.endpoint);
      const writing = load.writeUntilFailure(client);
      // A bit more than half a segment in each round, so that later ones begin segments again and again.
      const wanted = load.total + Math.ceil(random.between(30, 60) * (2 ** 20 / valueBytes));
      await eventually(`${wanted} puts`, () => load.total >= wanted, { timeoutMs: 60_000 });
      await member.stop(round % 2 === 0 ? 'SIGKILL' : 'SIGTERM');
      await writing;
      client.close();
      await member.start();
      const reader = new RpcClient(member.endpoint);
      await load.expectKept(reader);
      reader.close();
    }
    console.log(`${load.total} puts of ${valueBytes} bytes were acknowledged in ${rounds} rounds`);
    expect(load.total).toBeGreaterThan(rounds * WRITERS);
  });
});
