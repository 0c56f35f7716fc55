/**
 * A separate process with clients that log in repeatedly. Each has its own connection, and one login at a time. It
 * answers every message with the number of logins so far.
 *
 *     login-load.ts ENDPOINT CLIENTS ACCOUNTS_AS_JSON
 */
import { Client, credentials } from '@grpc/grpc-js';
import { Auth } from '../../src/wire/services.ts';
import type { Account } from './accounts.ts';

const [endpoint = '', clients, accountsJson = '[]'] = process.argv.slice(2);
const accounts = JSON.parse(accountsJson) as Account[];
const { path, request, response } = Auth.methods.authenticate;
let answered = 0;

function login(client: Client, account: Account): void {
  client.makeUnaryRequest(
    path,
    (message: Account) => request.encode(request.create(message)),
    (bytes: Buffer) => response.decode(bytes),
    account,
    () => {
      answered += 1;
      login(client, account);
    },
  );
}

for (let at = 0; at < Number(clients); at += 1) {
  const account = accounts[at % accounts.length];
  // By default, channels to the same address share one connection.
  const client = new Client(endpoint, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  if (account !== undefined) login(client, account);
}
process.on('message', () => process.send?.(answered));
process.on('disconnect', () => process.exit());
