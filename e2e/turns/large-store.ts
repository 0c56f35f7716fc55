import { LeaseGrantRequest, PutRequest, TxnRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV, Lease } from '../../src/wire/services.ts';
import { LoadClient } from '../harness/load-client.ts';

export interface StoreSize {
  readonly keys: number;
  readonly leases: number;
  readonly watchers: number;
}

/** A lease with many keys, besides those with one key each. */
export const LARGE_LEASE = 7n;
/** The share of all keys that the large lease holds. */
const LARGE_LEASE_SHARE = 0.02;
const KEYS_PER_TXN = 500;
const TTL_SECONDS = 100_000;
const IN_FLIGHT_TXNS = 4;
const IN_FLIGHT_GRANTS = 200;

/** Keys under each prefix of `fill`, as a share of all. */
export const shares = {
  '/registry/pods/': 0.5,
  '/registry/events/': 0.38,
  '/deleted/': 0.1,
  '/leased/': LARGE_LEASE_SHARE,
};

/** Puts keys and grants leases through one member, as fast as one client can. */
export async function fill(endpoint: string, { keys, leases }: StoreSize): Promise<void> {
  const client = new LoadClient(endpoint, { timeoutMs: 120_000 });
  try {
    await inParallel(leases, IN_FLIGHT_GRANTS, async (index) => {
      const id = LARGE_LEASE + BigInt(index);
      expectMessage(
        await client.call(
          Lease.methods.leaseGrant.path,
          LeaseGrantRequest.encode(LeaseGrantRequest.create({ id, ttl: TTL_SECONDS })),
        ),
      );
    });
    const requests = [...putsOf(keys, leases)];
    await inParallel(Math.ceil(requests.length / KEYS_PER_TXN), IN_FLIGHT_TXNS, async (index) => {
      const puts = requests.slice(index * KEYS_PER_TXN, (index + 1) * KEYS_PER_TXN);
      const success = puts.map((value) => ({ request: { case: 'requestPut' as const, value } }));
      expectMessage(
        await client.call(KV.methods.txn.path, TxnRequest.encode(TxnRequest.create({ success }))),
      );
    });
  } finally {
    client.close();
  }
}

/** One in ten keys of the first prefixes has a lease of its own, as far as there are leases. */
function* putsOf(keys: number, leases: number): Generator<PutRequest> {
  let lease = LARGE_LEASE;
  for (const [prefix, share] of Object.entries(shares)) {
    for (let index = 0; index < keys * share; index += 1) {
      const key = Buffer.from(`${prefix}${String(index).padStart(8, '0')}`);
      const value = Buffer.alloc(64, String(index));
      const hasOwn = index % 10 === 0 && lease < LARGE_LEASE + BigInt(leases) - 1n;
      if (hasOwn) lease += 1n;
      const own = hasOwn ? lease : 0n;
      yield PutRequest.create({ key, value, lease: prefix === '/leased/' ? LARGE_LEASE : own });
    }
  }
}

function expectMessage(answer: object): void {
  if (!('message' in answer)) throw new Error(JSON.stringify(answer));
}

/** Runs `work` for each index below `count`, so many at once. */
export async function inParallel(
  count: number,
  atOnce: number,
  work: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const index = next;
      next += 1;
      await work(index);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
