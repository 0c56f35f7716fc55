/**
 * A separate process with clients that log in repeatedly. Each has its own connection, and one login at a time. It
 * answers every message with the number of logins so far.
 *
 *     login-load.ts ENDPOINT CLIENTS ACCOUNTS_AS_JSON
 */
import { RpcClient } from '../../e2e/harness/rpc-client.ts';
import { AuthenticateRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { Auth } from '../../src/wire/services.ts';
import type { Account } from './accounts.ts';

const TIMEOUT_MS = 600_000;
const [endpoint = '', clients, accountsJson = '[]'] = process.argv.slice(2);
const accounts = JSON.parse(accountsJson) as Account[];
let answered = 0;

async function login({ name, password }: Account): Promise<never> {
  // By default, channels to the same address share one connection.
  const channel = { 'grpc.use_local_subchannel_pool': 1 };
  const client = new RpcClient(endpoint, { timeoutMs: TIMEOUT_MS, channel });
  const request = AuthenticateRequest.create({ name, password });
  for (;;) {
    await client.unary(Auth.methods.authenticate, request);
    answered += 1;
  }
}

for (let at = 0; at < Number(clients); at += 1) {
  const account = accounts[at % accounts.length];
  if (account !== undefined) void login(account);
}
process.on('message', () => process.send?.(answered));
process.on('disconnect', () => process.exit());
