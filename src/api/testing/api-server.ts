import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { timers } from '../../cli/timers.ts';
import type { Config } from '../../config/config.ts';
import { loadConfig } from '../../config/load.ts';
import { GrpcServer } from '../../grpc/server.ts';
import { Metrics } from '../../metrics/metrics.ts';
import type { LogFields, Logger } from '../../ports/logger.ts';
import { noOtherMembers } from './no-other-members.ts';
import { encodeIdentity, type BootstrapResult, bootstrapNewCluster } from '../../server/identity.ts';
import type { Member } from '../../server/member.ts';
import { WholeMember } from '../../server/whole-member.ts';
import { openStorage, type Storage } from '../../storage/open-storage.ts';
import { LoginLimiter } from '../auth/login-limiter.ts';
import { Logins } from '../auth/logins.ts';
import { registerAuth } from '../auth.ts';
import { ServiceContext } from '../service-context.ts';

const clock = { now: () => performance.now(), wall: () => Date.now() };

export interface ApiServerOptions {
  readonly flags?: readonly string[];
  readonly config?: Partial<Config>;
  /** Registers more services. */
  readonly register?: (context: ServiceContext) => void;
}

/** A cluster of one member in its own directory, with the Auth service, for tests of services. */
export class ApiServer {
  readonly grpc: GrpcServer;
  readonly whole: WholeMember;
  readonly logins: Logins;
  readonly context: ServiceContext;
  readonly logLines: { message: string; fields: LogFields | undefined }[];
  readonly #storage: Storage;
  readonly #directory: string;
  port = 0;

  private constructor(parts: {
    config: Config;
    storage: Storage;
    bootstrapped: BootstrapResult;
    directory: string;
    logLines: ApiServer['logLines'];
  }) {
    const { config, storage, bootstrapped, directory, logLines } = parts;
    this.#storage = storage;
    this.#directory = directory;
    this.logLines = logLines;
    const log = (message: string, fields?: LogFields): void => void logLines.push({ message, fields });
    const logger: Logger = { debug: log, info: log, warn: log, error: log };
    this.logins = new Logins(config, clock, logger);
    const { simple } = this.logins.tokens;
    this.whole = new WholeMember({
      config,
      storage,
      clock,
      randomInt,
      identity: bootstrapped,
      initialMembers: bootstrapped.initialMembers,
      scheduler: timers,
      logger: () => logger,
      metrics: new Metrics(),
      ...(simple === undefined ? {} : { tokens: simple }),
      remotes: [],
      serverVersion: '3.7.1',
      ...noOtherMembers,
    });
    this.grpc = new GrpcServer({ maxReceiveBytes: 2 ** 21, maxHeldBytes: config.maxHeldBytes, logger });
    this.context = new ServiceContext(this.grpc, this.member, this.logins.connect(this.member));
    registerAuth(this.context, {
      passwords: this.logins.passwords,
      limiter: new LoginLimiter({
        perSecond: config.maxLoginsPerSecond,
        scheduler: timers,
        now: () => performance.now(),
      }),
      tokens: this.logins.tokens.provider,
      logger,
    });
    this.member.onTurn(() => this.grpc.flushAll());
  }

  get store(): Storage['engine'] {
    return this.#storage.engine;
  }

  get member(): Member {
    return this.whole.member;
  }

  static async start(options: ApiServerOptions = {}): Promise<ApiServer> {
    const directory = mkdtempSync(join(tmpdir(), 'keystead-api-'));
    const loaded = await loadConfig({ args: [...(options.flags ?? [])], environment: {} });
    if (loaded.kind !== 'ready') throw new Error(loaded.kind);
    const config = { ...loaded.config, dataDir: directory, ...options.config };
    const bootstrapped = bootstrapNewCluster(config.name, config.initialCluster, config.initialClusterToken);
    const storage = await openStorage({
      dataDirectory: directory,
      walDirectory: '',
      newMetadata: () => encodeIdentity(bootstrapped),
      onFailure: (error) => {
        throw error;
      },
      onSync: () => undefined,
    });
    const server = new ApiServer({ config, storage, bootstrapped, directory, logLines: [] });
    options.register?.(server.context);
    server.whole.connect();
    server.whole.start();
    server.port = await server.grpc.listen({ host: '127.0.0.1', port: 0 });
    return server;
  }

  async stop(): Promise<void> {
    this.grpc.close();
    this.whole.stop();
    this.logins.close();
    await this.#storage.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
