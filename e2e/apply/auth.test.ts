import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { checkTxnAllowed } from '../../src/apply/auth-checks.ts';
import { checkTxn, isReadonlyTxn } from '../../src/apply/checks.ts';
import type { ApplyResult } from '../../src/apply/results.ts';
import { runTxn } from '../../src/apply/txn.ts';
import { runSteps } from '../../src/lib/steps.ts';
import { SeededRandom } from '../../src/lib/seeded-random.ts';
import { EtcdError, errors } from '../../src/wire/errors.ts';
import {
  AuthenticateRequest,
  AuthenticateResponse,
  ResponseHeader,
} from '../../src/wire/gen/etcdserverpb.ts';
import { Reader } from '../../src/wire/reader.ts';
import { Member } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { type AuthStep, randomAuthStep, users } from './auth-requests.ts';
import { StateMachine } from './state-machine.ts';

const missing = missingPeers('etcd');
const REQUESTS = 1500;
const MAX_TXN_OPS = 128;

/** A response to compare: the revision of the header and the bytes after the header, or the status. */
type Comparable = { revision: number; body: string } | { code: number; message: string };

class RawClient {
  readonly #client: Client;

  constructor(endpoint: string) {
    this.#client = new Client(endpoint, credentials.createInsecure());
  }

  call(path: string, request: Buffer, token: string): Promise<Buffer | EtcdError> {
    const metadata = new Metadata();
    if (token !== '') metadata.set('token', token);
    const same = (bytes: Buffer): Buffer => bytes;
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(path, same, same, request, metadata, (error, response) => {
        if (error !== null) resolve(new EtcdError(error.code, error.details));
        else resolve(response ?? Buffer.alloc(0));
      });
    });
  }

  close(): void {
    this.#client.close();
  }
}

function ofEtcd(answer: Buffer | EtcdError): Comparable {
  if (answer instanceof EtcdError) return { code: answer.code, message: answer.message };
  const reader = new Reader(answer);
  reader.tag();
  const header = ResponseHeader.decode(reader.bytes());
  return { revision: header.revision, body: answer.subarray(reader.position).toString('hex') };
}

function ofMachine(result: ApplyResult): Comparable {
  if (result instanceof EtcdError) return { code: result.code, message: result.message };
  return { revision: result.revision, body: Buffer.concat(result.body.slices).toString('hex') };
}

/** Applies the request, after the checks that a member makes before it proposes or reads. */
function answer(machine: StateMachine, { entry }: AuthStep, username: string): ApplyResult {
  const { auth } = machine;
  if (entry.txn !== undefined) {
    const wrong = checkTxn(entry.txn, MAX_TXN_OPS);
    if (wrong !== undefined) return wrong;
    const who = { username, revision: username === '' ? 0 : auth.revision };
    if (isReadonlyTxn(entry.txn))
      return runSteps(checkTxnAllowed(machine, who, entry.txn)) ?? runSteps(runTxn(machine, entry.txn, true));
  }
  const isLease = entry.leaseGrant !== undefined || entry.leaseRevoke !== undefined;
  if (isLease && auth.isEnabled && username === '') return errors.UserEmpty;
  return machine.apply(entry, username);
}

describe.skipIf(missing !== undefined)(
  `users, roles and permissions as etcd applies them ${missing ?? ''}`,
  () => {
    it.each([1, 2, 3])(`${REQUESTS} requests of seed %i`, async (seed) => {
      const random = new SeededRandom(seed);
      const machine = new StateMachine();
      const etcd = await Member.start({ kind: 'etcd', flags: ['--bcrypt-cost', '4'] });
      const client = new RawClient(etcd.endpoint);
      try {
        for (let step = 0; step < REQUESTS; step += 1) {
          const login = machine.auth.isEnabled && random.chance(0.93) ? random.pick(users) : '';
          let token = '';
          if (login !== '') {
            const request = AuthenticateRequest.encode({ name: login, password: 'p' });
            const theirs = await client.call('/etcdserverpb.Auth/Authenticate', request, '');
            const ours = machine.apply({ authenticate: { name: login, password: '', simpleToken: 'x' } }, '');
            expect(theirs instanceof EtcdError && theirs.message, `login of ${login} at step ${step}`).toBe(
              ours instanceof EtcdError && ours.message,
            );
            if (theirs instanceof EtcdError) continue;
            token = AuthenticateResponse.decode(theirs).token;
          }
          const asked = randomAuthStep(random);
          const theirs = ofEtcd(await client.call(asked.path, asked.bytes, token));
          expect(
            ofMachine(answer(machine, asked, login)),
            `${asked.path} by "${login}" at step ${step}`,
          ).toEqual(theirs);
        }
      } finally {
        client.close();
        await etcd.destroy();
      }
    });
  },
);
