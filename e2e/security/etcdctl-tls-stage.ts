import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { Authority } from '../../src/tls/testing/authority.ts';
import { Certificates } from '../harness/certificates.ts';
import type { CommandOptions } from '../harness/command.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member, type MemberKind } from '../harness/member.ts';
import { Session } from '../harness/session.ts';

/** A step of a session over TLS: what both servers are to answer alike, and what that must say. */
export interface Step {
  readonly title: string;
  readonly expected: RegExp;
  run(stage: Stage): Promise<string>;
}

export interface Scenario {
  readonly title: string;
  readonly flags: readonly string[];
  readonly steps: readonly Step[];
}

/** One member with TLS, and what the steps pass on to each other. */
export interface Stage {
  readonly session: Session;
  readonly securePort: number;
  token: string;
}

export interface Ports {
  readonly clientPort: number;
  readonly peerPort: number;
  readonly securePort: number;
}

export const files = new Certificates('etcdctl-tls');
export const file = (name: string): string => files.path(name);
export const keys = {
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
} as const;
export const strangersKeys = {
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
} as const;
export type Method = keyof typeof keys;

function makeFiles(): void {
  const stranger = new Authority('stranger');
  files.write('stranger-ca.crt', stranger.certificate);
  // Without a common name: etcd's gateway connects to its own member with this certificate, and it must name no user.
  files.issue('server', { hosts: ['localhost', '127.0.0.1'] });
  for (const commonName of ['root', 'alice', 'nobody'])
    files.issue(commonName, { commonName, usage: 'client' });
  files.issue('nameless', { usage: 'client' });
  files.issue('expired', { commonName: 'root', days: -1 });
  files.issue('for-servers', { commonName: 'root', usage: 'server' });
  files.issue('stranger', { commonName: 'root' }, stranger);
  for (const [method, { privateKey, publicKey }] of Object.entries(keys)) {
    files.write(`${method}.key`, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    files.write(`${method}.pub`, publicKey.export({ type: 'spki', format: 'pem' }));
  }
}
makeFiles();

export const serverFlags = [
  ...[`--cert-file=${file('server.crt')}`, `--key-file=${file('server.key')}`],
  ...[`--trusted-ca-file=${file('ca.crt')}`, '--bcrypt-cost=4'],
];

/** One etcdctl command of the owner of a certificate, over TLS. */
export function ctl(
  who: string,
  args: string | readonly string[],
  expected: RegExp,
  options: CommandOptions = {},
): Step {
  const list = typeof args === 'string' ? args.split(' ') : args;
  const env = options.env === undefined ? '' : `${JSON.stringify(options.env)} `;
  return {
    title: `${who}: ${env}${list.join(' ')}`,
    expected,
    run: async ({ session }) =>
      session.transcript(await session.etcdctl.run([...files.flags(who), ...list], options)),
  };
}

/** As {@link ctl}, with what the stage has by then. */
export function ctlOf(who: string, title: string, expected: RegExp, args: (stage: Stage) => string[]): Step {
  return {
    title: `${who}: ${title}`,
    expected,
    run: async (stage) => {
      const { session } = stage;
      return session.transcript(await session.etcdctl.run([...files.flags(who), ...args(stage)]));
    },
  };
}

/**
 * A command that finds no way in. What etcdctl says of a connection that the server ended depends on which packet it
 * met first, so that only its own reasons are compared.
 */
export function shutOut(title: string, args: readonly string[], endpoint?: (stage: Stage) => string): Step {
  return {
    title,
    expected: /^exit 1/,
    run: async (stage) => {
      const flags = ['--dial-timeout=1s', '--command-timeout=1500ms'];
      const etcdctl = endpoint === undefined ? stage.session.etcdctl : new Etcdctl(endpoint(stage));
      const { code, stderr, stdout } = await etcdctl.run([...flags, ...args, 'get', 'k']);
      return `exit ${String(code)} ${/x509: [^"\\]*/.exec(stderr)?.[0] ?? ''}${stdout}`;
    },
  };
}

interface GatewayAnswer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return { text };
  }
}

/** A request to the JSON gateway with a client certificate. */
function gateway(
  { securePort }: Stage,
  who: string,
  path: string,
  body: unknown,
  token = '',
): Promise<GatewayAnswer> {
  return new Promise((resolve, reject) => {
    const asked = request({
      host: '127.0.0.1',
      port: securePort,
      method: 'POST',
      path,
      agent: false,
      ca: readFileSync(file('ca.crt')),
      cert: readFileSync(file(`${who}.crt`)),
      key: readFileSync(file(`${who}.key`)),
      headers: { accept: '*/*', ...(token === '' ? {} : { authorization: token }) },
    });
    asked.on('response', (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, body: parse(text) });
      });
    });
    asked.on('error', reject);
    asked.end(JSON.stringify(body));
  });
}

const k = Buffer.from('k').toString('base64');

export function gatewayStep(
  who: string,
  title: string,
  expected: RegExp,
  token?: (stage: Stage) => string,
): Step {
  return {
    title: `${who} through the gateway: ${title}`,
    expected,
    run: async (stage) => {
      const { status, body } = await gateway(stage, who, '/v3/kv/range', { key: k }, token?.(stage));
      return `${status} ${JSON.stringify({ ...body, header: undefined })}`;
    },
  };
}

export async function login(stage: Stage, name: string, password: string): Promise<string> {
  const { body } = await gateway(stage, 'nameless', '/v3/auth/authenticate', { name, password });
  if (typeof body['token'] !== 'string') throw new Error(`no token: ${JSON.stringify(body)}`);
  return body['token'];
}

/** What a server of that kind answers, step by step. */
export async function transcript(kind: MemberKind, scenario: Scenario, ports: Ports): Promise<string[]> {
  const { clientPort, peerPort, securePort } = ports;
  const urls = `http://127.0.0.1:${clientPort},https://127.0.0.1:${securePort}`;
  const member = await Member.start({
    kind,
    name: 'session',
    clientPort,
    peerPort,
    flags: [`--listen-client-urls=${urls}`, `--advertise-client-urls=${urls}`, ...scenario.flags],
  });
  try {
    const etcdctl = new Etcdctl(`https://127.0.0.1:${securePort}`, ['--command-timeout=20s']);
    const stage: Stage = { session: new Session(member, etcdctl), securePort, token: '' };
    const answers: string[] = [];
    for (const step of scenario.steps)
      answers.push(await step.run(stage).catch((error: unknown) => `could not be done: ${String(error)}`));
    return answers;
  } finally {
    await member.destroy();
  }
}
