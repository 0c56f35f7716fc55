import { promises as fs } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { reasonOf } from '../lib/text.ts';
import { tagText } from './s3-xml.ts';

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** A file may be replaced at any time. */
const FILE_MS = 60_000;
/** Credentials of a role are renewed this long before they end. */
const RENEW_BEFORE_MS = 300_000;
const STS_TIMEOUT_MS = 30_000;

/**
 * Finds credentials as the tools of AWS do: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`; then a web identity, by
 * `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`; then the file `AWS_SHARED_CREDENTIALS_FILE` with `AWS_PROFILE`.
 */
export class CredentialSource {
  readonly #environment: Environment;
  readonly #region: string;
  #known: { readonly credentials: S3Credentials; readonly untilMs: number } | undefined;

  constructor(environment: Environment, region: string) {
    this.#environment = environment;
    this.#region = region;
  }

  /** @throws Error if there are no credentials, or they cannot be read */
  async get(): Promise<S3Credentials> {
    if (this.#known !== undefined && Date.now() < this.#known.untilMs) return this.#known.credentials;
    this.#known = await this.#find();
    return this.#known.credentials;
  }

  async #find(): Promise<{ credentials: S3Credentials; untilMs: number }> {
    const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = this.#environment;
    const { AWS_SESSION_TOKEN: sessionToken } = this.#environment;
    if (accessKeyId !== undefined && secretAccessKey !== undefined)
      return { credentials: credentials(accessKeyId, secretAccessKey, sessionToken), untilMs: Infinity };
    const { AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile, AWS_ROLE_ARN: role } = this.#environment;
    if (tokenFile !== undefined && role !== undefined) return this.#assumeRole(tokenFile, role);
    return { credentials: await this.#fromFile(), untilMs: Date.now() + FILE_MS };
  }

  async #assumeRole(
    tokenFile: string,
    role: string,
  ): Promise<{ credentials: S3Credentials; untilMs: number }> {
    const { AWS_ENDPOINT_URL_STS: endpoint, AWS_ROLE_SESSION_NAME: session } = this.#environment;
    const response = await fetch(endpoint ?? `https://sts.${this.#region}.amazonaws.com/`, {
      method: 'POST',
      body: new URLSearchParams({
        Action: 'AssumeRoleWithWebIdentity',
        Version: '2011-06-15',
        RoleArn: role,
        RoleSessionName: session ?? 'keystead-backup',
        WebIdentityToken: (await fs.readFile(tokenFile, 'utf8')).trim(),
      }),
      signal: AbortSignal.timeout(STS_TIMEOUT_MS),
    });
    const xml = await response.text();
    const [id, secret, token, end] = ['AccessKeyId', 'SecretAccessKey', 'SessionToken', 'Expiration'].map(
      (name) => tagText(xml, name),
    );
    if (!response.ok || id === undefined || secret === undefined) {
      const reason = tagText(xml, 'Message') ?? `status ${response.status}`;
      throw new Error(`the role ${role} cannot be assumed: ${reason}`);
    }
    const endMs = Date.parse(end ?? '');
    const untilMs = Number.isNaN(endMs) ? Date.now() + FILE_MS : endMs - RENEW_BEFORE_MS;
    return { credentials: credentials(id, secret, token), untilMs };
  }

  async #fromFile(): Promise<S3Credentials> {
    const { AWS_SHARED_CREDENTIALS_FILE: given, AWS_PROFILE: profile = 'default' } = this.#environment;
    const path = given ?? join(homedir(), '.aws', 'credentials');
    const text = await fs.readFile(path, 'utf8').catch((error: unknown) => {
      throw new Error(
        `there are no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, or provide a file: ${reasonOf(error)}`,
      );
    });
    const values = readProfile(text, profile);
    const id = values.get('aws_access_key_id');
    const secret = values.get('aws_secret_access_key');
    if (id === undefined || secret === undefined)
      throw new Error(`${path} has no aws_access_key_id and aws_secret_access_key in the profile ${profile}`);
    return credentials(id, secret, values.get('aws_session_token'));
  }
}

function credentials(
  accessKeyId: string,
  secretAccessKey: string,
  sessionToken: string | undefined,
): S3Credentials {
  return sessionToken === undefined || sessionToken === ''
    ? { accessKeyId, secretAccessKey }
    : { accessKeyId, secretAccessKey, sessionToken };
}

/** The settings of one section of an INI file. */
function readProfile(text: string, profile: string): Map<string, string> {
  const values = new Map<string, string>();
  let isWanted = false;
  for (const line of text.split('\n')) {
    const [, section] = /^\s*\[\s*(?:profile\s+)?([^\]]*?)\s*\]/.exec(line) ?? [];
    if (section !== undefined) isWanted = section === profile;
    const [, name = '', value = ''] = /^\s*([a-z_]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (isWanted && name !== '') values.set(name, value);
  }
  return values;
}
