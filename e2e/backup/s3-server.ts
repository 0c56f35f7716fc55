import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { requirePeer } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import { Program } from '../harness/program.ts';
import { tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';

/** A real S3 server (versitygw) with one bucket. It checks the signatures of requests. */
export class S3Server {
  readonly endpoint: string;
  readonly accessKey = 'backup-user';
  readonly secretKey = 'backup-secret';
  readonly bucket = 'backups';
  readonly #folder: string;
  readonly #port: number;
  #program: Program | undefined;

  private constructor(folder: string, port: number) {
    this.#folder = folder;
    this.#port = port;
    this.endpoint = `http://127.0.0.1:${port}`;
  }

  static async start(): Promise<S3Server> {
    const server = new S3Server(tempDir('s3'), await freePort());
    for (const name of ['root/backups', 'metadata'])
      mkdirSync(join(server.#folder, name), { recursive: true });
    await server.start();
    return server;
  }

  async start(): Promise<void> {
    const program = new Program('versitygw', requirePeer('versitygw'), [
      `--port=127.0.0.1:${this.#port}`,
      `--access=${this.accessKey}`,
      `--secret=${this.secretKey}`,
      '--health=/health',
      'posix',
      `--sidecar=${join(this.#folder, 'metadata')}`,
      join(this.#folder, 'root'),
    ]);
    this.#program = program;
    await eventually('the S3 server', async () => {
      program.mustBeAlive();
      return (await fetch(`${this.endpoint}/health`)).ok;
    });
  }

  async stop(): Promise<void> {
    await this.#program?.stop('SIGKILL');
  }

  async destroy(): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true });
  }

  /** The file of an object. */
  fileOf(key: string): string {
    return join(this.#folder, 'root', this.bucket, key);
  }

  get environment(): Record<string, string> {
    return {
      AWS_ACCESS_KEY_ID: this.accessKey,
      AWS_SECRET_ACCESS_KEY: this.secretKey,
      AWS_ENDPOINT_URL_S3: this.endpoint,
    };
  }
}
