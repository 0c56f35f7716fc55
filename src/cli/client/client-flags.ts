import { readFileSync } from 'node:fs';
import { parseArgs, type ParseArgsConfig } from 'node:util';
import type { TlsFiles } from '../discovery/grpc-endpoint.ts';

/** How the subcommands reach a running cluster. */
export interface ClientSettings {
  readonly endpoints: readonly string[];
  readonly tls: TlsFiles;
  /** Paths of the certificate files in use. */
  readonly files: readonly string[];
  /** Empty for no login. */
  readonly user: string;
  readonly password: string;
  readonly timeoutMs: number;
}

/** The flags of all subcommands that are clients, with etcdctl's names. */
export const CLIENT_USAGE = `  --endpoints                     Client URLs, separated by commas (default "127.0.0.1:2379")
  --cacert                        CA certificates that servers are verified with
  --cert, --key                   Client certificate and its key
  --insecure-skip-tls-verify      Accept any server certificate
  --user                          User name, or name:password
  --password                      Password of the user
  --command-timeout               Seconds that one request may take (default "5")

As with etcdctl, each flag can be given as a variable: ETCDCTL_ENDPOINTS, ETCDCTL_CACERT, ETCDCTL_USER, ...
`;

/** The flags of all subcommands that are clients, for `parseArgs`. */
export const clientFlags = {
  endpoints: { type: 'string' },
  cacert: { type: 'string' },
  cert: { type: 'string' },
  key: { type: 'string' },
  user: { type: 'string' },
  password: { type: 'string' },
  'command-timeout': { type: 'string' },
  'insecure-skip-tls-verify': { type: 'boolean' },
} as const;

/** The flags of a subcommand, for `parseArgs`. */
export type Options = NonNullable<ParseArgsConfig['options']>;
type Values = Readonly<Record<string, string | boolean | undefined>>;

export interface ParsedClient {
  readonly settings: ClientSettings;
  /** Values of the subcommand's own flags. */
  readonly values: Values;
  readonly positionals: readonly string[];
}

/**
 * Parses the flags of a client subcommand.
 *
 * @param own flags that only this subcommand has
 * @throws Error if a flag is unknown, a value is invalid, or a file cannot be read
 */
export function parseClient(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  own: Options,
): ParsedClient {
  const { values: parsed, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { ...clientFlags, ...own },
  });
  const values = parsed as Values;
  const text = (name: keyof typeof clientFlags): string => {
    const value = values[name] ?? environment[`ETCDCTL_${name.toUpperCase().replaceAll('-', '_')}`];
    return typeof value === 'string' ? value : '';
  };
  const skipsVerification =
    values['insecure-skip-tls-verify'] === true || environment['ETCDCTL_INSECURE_SKIP_TLS_VERIFY'] === 'true';
  const [user = '', ...rest] = text('user').split(':');
  const [cacert, cert, key] = [text('cacert'), text('cert'), text('key')];
  if ((cert === '') !== (key === '')) throw new Error('--cert and --key must be given together');
  const read = (path: string): Buffer | undefined => (path === '' ? undefined : readFileSync(path));
  return {
    settings: {
      endpoints: endpointsOf(text('endpoints')),
      tls: {
        certificate: read(cert),
        key: read(key),
        authorities: read(cacert),
        skipsVerification,
        isWanted: cert !== '' || cacert !== '' || skipsVerification,
      },
      files: [cacert, cert].filter((path) => path !== ''),
      user,
      password: rest.length > 0 ? rest.join(':') : text('password'),
      timeoutMs: timeoutOf(text('command-timeout')),
    },
    values,
    positionals,
  };
}

/** Whether `--output` asks for JSON. @throws Error for anything else than text and json */
export function isJsonWanted(output: unknown): boolean {
  if (output !== 'text' && output !== 'json') throw new Error('--output must be text or json');
  return output === 'json';
}

function endpointsOf(text: string): string[] {
  const list = (text === '' ? '127.0.0.1:2379' : text).split(',').map((endpoint) => endpoint.trim());
  if (list.includes('')) throw new Error(`--endpoints has an empty entry: ${text}`);
  return list;
}

/** Seconds, with or without the `s` of etcdctl's durations. */
function timeoutOf(text: string): number {
  const match = /^(\d+(?:\.\d+)?)s?$/.exec(text === '' ? '5' : text);
  const seconds = Number(match?.[1] ?? '0');
  if (seconds <= 0 || seconds > 86_400) throw new Error(`--command-timeout is no number of seconds: ${text}`);
  return seconds * 1000;
}
