import { AppliedState } from '../apply/applied-state.ts';
import { Logins } from '../api/auth/logins.ts';
import type { Config } from '../config/config.ts';
import { hex } from '../lib/text.ts';
import type { Logging } from '../logging/logging.ts';
import { EventLoopDelay } from '../metrics/event-loop.ts';
import { Metrics } from '../metrics/metrics.ts';
import type { Logger } from '../ports/logger.ts';
import { forceNewCluster } from '../server/force-new-cluster.ts';
import { decodeIdentity, encodeIdentity, type BootstrapResult, type Identity } from '../server/identity.ts';
import type { Member } from '../server/member.ts';
import { statusOf } from '../server/member-status.ts';
import type { MemberStorage } from '../server/member-options.ts';
import type { Publisher } from '../server/publisher.ts';
import type { StartConsensus } from '../server/start-consensus.ts';
import { WholeMember } from '../server/whole-member.ts';
import { hashInWorker } from '../snapshot/hash-in-worker.ts';
import { exportSnapshot } from '../snapshot/export-snapshot.ts';
import { DataDirectoryError, dataDirectory } from '../storage/data-dir.ts';
import { defaultTuning } from '../storage/rocks-columns.ts';
import { checkUsable, openStorage, type Storage } from '../storage/open-storage.ts';
import { logExists } from '../storage/wal/open-log.ts';
import { openClientTls } from '../tls/open-tls.ts';
import { ClientServers } from './client-servers.ts';
import { type AuditLines, openAuditLines } from './audit.ts';
import { clock } from './clock.ts';
import { SystemDns } from './discovery/dns.ts';
import { bootstrap } from './bootstrap.ts';
import { notifyInit } from './notify-init.ts';
import { PeerConnections } from './peer-connections.ts';
import { checkClientUrls } from './secure-urls.ts';
import { warnOfOpenDirectory } from './private-files.ts';
import type { ServerBackups } from './server-backups.ts';
import { StartError } from './start-error.ts';
import { randomInt } from './random-int.ts';
import { processStatus } from './process-status.ts';
import { runStopSteps, type StopStep } from './stop-steps.ts';
import { timers } from './timers.ts';
import { openStatusPage } from './status-page.ts';
import { startTracing } from './tracing.ts';
import type { OtelTracing } from '../tracing/otel-tracing.ts';
import { ETCD_VERSION } from './version.ts';

/** As etcd: maximum time to wait for the cluster at a start before clients are served. */
const CLUSTER_READY_MS = 5_000;
/** Maximum time of one step of the shutdown. A step needs less if nothing hangs. */
const STOP_STEP_MS = 3_000;
/** Added to the election timeout, for a busy event loop. */
const STOP_SLACK_MS = 1_000;
/** The engine flushes its memory to disk when it closes. */
const STORAGE_CLOSE_MS = 10_000;

/** A running server: the member, its data directory and its listeners. */
export class RunningServer {
  readonly #whole: WholeMember;
  readonly #storage: Storage;
  readonly #clients: ClientServers;
  readonly #peers: PeerConnections;
  readonly #logins: Logins;
  readonly #audit: AuditLines | undefined;
  readonly #tracing: OtelTracing | undefined;
  readonly #backups: ServerBackups | undefined;
  readonly #logger: Logger;

  private constructor(parts: {
    whole: WholeMember;
    storage: Storage;
    clients: ClientServers;
    peers: PeerConnections;
    logins: Logins;
    audit: AuditLines | undefined;
    tracing: OtelTracing | undefined;
    backups: ServerBackups | undefined;
    logger: Logger;
  }) {
    this.#whole = parts.whole;
    this.#storage = parts.storage;
    this.#clients = parts.clients;
    this.#peers = parts.peers;
    this.#logins = parts.logins;
    this.#audit = parts.audit;
    this.#tracing = parts.tracing;
    this.#backups = parts.backups;
    this.#logger = parts.logger;
  }

  /** Resolves when the cluster has removed this member. */
  get removed(): Promise<string> {
    return this.#peers.removed.then(() => 'removed');
  }

  /**
   * Rejects with one of the start errors that `serve` handles.
   *
   * @param beforeServing called when all else has started. From then on clients may be served, so the server must be
   *   stopped in order.
   */
  static async start(config: Config, logging: Logging, beforeServing: () => void): Promise<RunningServer> {
    const logger = logging.for('cli/running-server.ts');
    const metrics = new Metrics();
    const logins = new Logins(config, clock, logging.for('api/auth/logins.ts'));
    const audit = await openAuditLines(config, logging, metrics);
    const tracing = await startTracing(config, logging);
    const tls = await openClientTls({ config, logger: logging.for('tls/tls-endpoint.ts') });
    checkClientUrls(config, tls);
    const peers = await PeerConnections.prepare(config, logging);
    const directory = dataDirectory(config.dataDir, config.walDir);
    checkUsable(directory);
    const begin = (): Promise<BootstrapResult> =>
      bootstrap({ config, client: peers.client, dns: new SystemDns(), logger });
    let bootstrapped = logExists(directory.wal) ? undefined : await begin();
    warnOfOpenDirectory(config.dataDir, logger);
    const storage = await open(config, logging, { bootstrapped, metrics });
    await checkComplete(storage);
    const { isNew } = storage;
    if (isNew && bootstrapped === undefined) bootstrapped = await repeatBootstrap(storage, begin);
    if (!isNew && config.discovery !== undefined)
      logger.warn('discovery token is ignored since cluster already initialized; valid logs are found');
    const identity = bootstrapped ?? decodeIdentity(storage.contents.metadata);
    logger.info('starting member', {
      'local-member-id': hex(identity.memberId),
      'cluster-id': hex(identity.clusterId),
      'is-new': isNew,
    });
    const { simple } = logins.tokens;
    const memberParts = await memberStorage(config, storage, { identity, isNew, logger });
    const startConsensus = config.raftThread ? await openRaftThread(storage, logging) : undefined;
    const whole = new WholeMember({
      config,
      identity,
      metrics,
      clock,
      storage: memberParts,
      ...(startConsensus === undefined ? {} : { startConsensus }),
      initialMembers: bootstrapped?.initialMembers ?? [],
      remotes: bootstrapped?.remotes ?? [],
      scheduler: timers,
      randomInt,
      logger: (caller) => logging.for(caller),
      ...(simple === undefined ? {} : { tokens: simple }),
      hashInWorker: (scope, opened) => hashInWorker(storage.engine, scope, opened),
      replaceStore: () => storage.engine.replaceFiles(),
      serverVersion: ETCD_VERSION,
      ...peers.ports({ identity, storage, metrics }),
    });
    storage.forgetEntries();
    if (
      !isNew &&
      config.featureGates.get('InitialCorruptCheck') === true &&
      !(await whole.checkInitially())
    ) {
      await storage.close();
      throw new StartError(`${hex(identity.memberId)} found data inconsistency with peers`);
    }
    whole.connect();
    const { member, leases, memberships, downgrades } = whole;
    await peers.listen(whole.peerService, () => statusOf(member, processStatus()));
    const eventLoop = new EventLoopDelay();
    const statusPage = await openStatusPage(config, logging, {
      whole,
      client: peers.client,
      directory: storage.directory,
      eventLoop,
    });
    const clients = new ClientServers(config, logging, {
      member,
      metrics,
      logins,
      leases,
      memberships,
      downgrades,
      tls,
      audit,
      tracing,
      eventLoop,
      statusPage,
      exportSnapshot: () => exportSnapshot(storage.engine),
      store: storage.engine,
      randomInt,
    });
    whole.start();
    await clusterReady(whole.periodicTasks.publisher, logger);
    // Backups may be refused, and no client should see a server that does not start.
    const backups = await openBackups(config, logging, { member, metrics, storage });
    beforeServing();
    await clients.listen();
    logger.info('ready to serve client requests');
    notifyInit(process.env, logger);
    return new RunningServer({ whole, storage, clients, peers, logins, audit, tracing, backups, logger });
  }

  /** Shuts down. A leader first transfers its leadership, so that the cluster keeps a leader. Each step has a timeout. */
  stop(): Promise<void> {
    const whole = this.#whole;
    const { config } = whole.member;
    const step = (name: string, limitMs: number, run: StopStep['run']): StopStep => ({ name, limitMs, run });
    const steps = [
      step('transferring leadership', config.electionTimeoutMs + STOP_SLACK_MS, () =>
        whole.transferLeadership(),
      ),
      step('stopping periodic tasks', STOP_STEP_MS, () => whole.stopPeriodicTasks()),
      step('stopping backups', STOP_STEP_MS, () => this.#backups?.stop()),
      step('closing client connections', STOP_STEP_MS, () => this.#clients.stop()),
      step('stopping the member', STOP_STEP_MS, () => whole.stop()),
      step('closing peer connections', STOP_STEP_MS, () => this.#peers.stop()),
      step('stopping logins', STOP_STEP_MS, () => this.#logins.close()),
      step('sending traces', STOP_STEP_MS, () => this.#tracing?.stop()),
      step('closing the audit log', STOP_STEP_MS, () => this.#audit?.file.close()),
      step('closing the storage', STORAGE_CLOSE_MS, () => this.#storage.close()),
    ];
    return runStopSteps(steps, this.#logger);
  }
}

/** The code of raft's thread is loaded only when there is one. */
async function openRaftThread(storage: Storage, logging: Logging): Promise<StartConsensus> {
  const { RaftThread } = await import('./raft-thread.ts');
  return RaftThread.open(storage, logging);
}

/** The code of backups is loaded only when they are on. */
async function openBackups(
  { backup }: Config,
  logging: Logging,
  { member, metrics, storage }: { member: Member; metrics: Metrics; storage: Storage },
): Promise<ServerBackups | undefined> {
  if (backup === undefined) return undefined;
  const { startServerBackups } = await import('./server-backups.ts');
  return startServerBackups({
    settings: backup,
    environment: process.env,
    member,
    metrics,
    exportSnapshot: () => exportSnapshot(storage.engine),
    directory: storage.directory,
    logger: logging.for('backup/schedule.ts'),
  });
}

interface OpenOptions {
  readonly bootstrapped: BootstrapResult | undefined;
  readonly metrics: Metrics;
}

function open(config: Config, logging: Logging, { bootstrapped, metrics }: OpenOptions): Promise<Storage> {
  // After a failed write or sync, the content of the disk is unknown. A new start reads it again.
  const exitWith = (message: string) => (error: Error) => {
    logging.write('fatal', 'cli/running-server.ts', message, { error: error.message });
    process.exit(1);
  };
  return openStorage({
    dataDirectory: config.dataDir,
    walDirectory: config.walDir,
    tuning: { ...defaultTuning, blockCacheBytes: config.blockCacheBytes },
    newMetadata: () => {
      if (bootstrapped === undefined)
        throw new Error('a member with a new log must bootstrap or join a cluster');
      return encodeIdentity(bootstrapped);
    },
    onFailure: exitWith('the log cannot be written'),
    onStoreFailure: exitWith('the store cannot be written'),
    onSync: (durationMs, bytes, bufferMs) => {
      metrics.disk.walFsync.observe(durationMs / 1000);
      metrics.disk.walWrite.observe(bufferMs / 1000);
      metrics.disk.walWriteBytes += bytes;
    },
    // The commit of a batch is one write to the store, without a sync.
    onStoreWrite: (durationMs) => {
      metrics.disk.backendCommit.observe(durationMs / 1000);
      metrics.disk.backendCommitWrite.observe(durationMs / 1000);
    },
  }).then((storage) => {
    const { repaired } = storage.contents;
    if (repaired !== undefined)
      logging.for('cli/running-server.ts').warn('repaired the end of the log', { ...repaired });
    return storage;
  });
}

/**
 * Repeats the bootstrap after a first start that was killed after it had created the log but before the initial members
 * were written. Without them, the member could never take part in an election.
 */
async function repeatBootstrap(
  storage: Storage,
  begin: () => Promise<BootstrapResult>,
): Promise<BootstrapResult> {
  try {
    const bootstrapped = await begin();
    const { memberId, clusterId } = decodeIdentity(storage.contents.metadata);
    if (bootstrapped.memberId !== memberId || bootstrapped.clusterId !== clusterId)
      throw new StartError(
        `the log in ${storage.directory.wal} belongs to member ${hex(memberId)} of cluster ${hex(clusterId)}, but the flags are those of another member: remove the data directory to start again`,
      );
    return bootstrapped;
  } catch (error) {
    await storage.close();
    throw error;
  }
}

/** Checks that the store is at least as new as the start of the log. Otherwise entries in between are missing. */
async function checkComplete({ engine, contents, directory, close }: Storage): Promise<void> {
  const { index } = new AppliedState(engine);
  if (index >= contents.snapshot.index) return;
  await close();
  throw new DataDirectoryError(
    `the log in ${directory.wal} starts after entry ${contents.snapshot.index}, but the store in ${directory.rocksdb} ends with entry ${index}: the store is missing or belongs to another member`,
  );
}

/** Returns the storage of the member, changed to a new cluster for `--force-new-cluster`. */
async function memberStorage(
  config: Config,
  storage: Storage,
  { identity, isNew, logger }: { identity: Identity; isNew: boolean; logger: Logger },
): Promise<MemberStorage> {
  if (!config.forceNewCluster || isNew) return storage;
  const { engine, log, space } = storage;
  const contents = await forceNewCluster({
    log,
    identity,
    logger,
    contents: storage.contents,
    applied: new AppliedState(engine),
    peerUrls: config.advertisePeerUrls.map(({ text }) => text),
  });
  return { engine, log, contents, isNew, space };
}

/** Resolves when this member has published its name, or after a timeout. Clients are served from then on. */
function clusterReady(publisher: Publisher, logger: Logger): Promise<void> {
  return new Promise((resolve) => {
    const cancel = timers.after(CLUSTER_READY_MS, () => {
      logger.warn('timed out waiting for the ready notification');
      resolve();
    });
    publisher.whenPublished(() => {
      cancel();
      resolve();
    });
  });
}
