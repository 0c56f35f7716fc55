import { credentials, type ChannelCredentials } from '@grpc/grpc-js';
import { connect } from 'node:net';
import { KV } from '../../src/wire/services.ts';
import { PutRequest, RangeRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { keysteadBundle } from '../harness/paths.ts';
import { Program } from '../harness/program.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';

export interface StartOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** The command to run in place of the bundle's own. */
  readonly command?: readonly [string, ...string[]];
}

/** Starts the built server with these arguments and nothing else. The caller stops it. */
export function startBundle(
  args: readonly string[],
  { env = {}, cwd, command = [process.execPath, keysteadBundle()] }: StartOptions = {},
): Program {
  const [program, ...before] = command;
  return new Program('keystead', program, [...before, ...args], {
    env,
    ...(cwd === undefined ? {} : { cwd }),
  });
}

/** Waits until something listens there, or throws when the program has ended. @param url with a port */
export async function listening(program: Program, url: string): Promise<void> {
  const { hostname, port } = new URL(url);
  await eventually(
    `a server on ${url}`,
    async () => {
      program.mustBeAlive();
      return new Promise<boolean>((resolve) => {
        const socket = connect(Number(port), hostname, () => resolve(true));
        socket.once('error', () => resolve(false));
        socket.once('close', () => resolve(false));
        socket.once('connect', () => socket.destroy());
      });
    },
    { timeoutMs: 30_000 },
  );
}

/** Puts a key and reads it, over plain gRPC unless credentials are given. Returns the value that is read. */
export async function putAndGet(
  program: Program,
  url: string,
  security: ChannelCredentials = credentials.createInsecure(),
): Promise<string> {
  await listening(program, url);
  const client = new RpcClient(new URL(url).host, { security });
  const key = Buffer.from('way');
  try {
    const put = await client.unary(KV.methods.put, PutRequest.create({ key, value: Buffer.from('works') }));
    if (!('messages' in put)) throw new Error(`${put.code} ${put.details}\n${program.tail()}`);
    return await read(client, 'way');
  } finally {
    client.close();
  }
}

/** The value of a key, or the error as text. */
export async function read(client: RpcClient, key: string): Promise<string> {
  const answer = await client.unary(KV.methods.range, RangeRequest.create({ key: Buffer.from(key) }));
  if (!('messages' in answer)) return `${answer.code} ${answer.details}`;
  const [response] = answer.messages as { kvs: readonly { value: Buffer }[] }[];
  return response?.kvs[0]?.value.toString() ?? 'no value';
}
