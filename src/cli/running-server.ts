import { randomInt } from 'node:crypto';
import { AppliedState } from '../apply/applied-state.ts';
import { Logins } from '../api/auth/logins.ts';
import type { Config } from '../config/config.ts';
import { hex } from '../lib/text.ts';
import type { Logging } from '../logging/logging.ts';
import { Metrics } from '../metrics/metrics.ts';
import type { Logger } from '../ports/logger.ts';
import { forceNewCluster } from '../server/force-new-cluster.ts';
import { decodeIdentity, encodeIdentity, type Founding, type Identity } from '../server/identity.ts';
import type { MemberStorage } from '../server/member-options.ts';
import type { Publisher } from '../server/publisher.ts';
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
import { StartError } from './start-error.ts';
import { runStopSteps, type StopStep } from './stop-steps.ts';
import { timers } from './timers.ts';
import { etcdVersion } from './version.ts';

/** As etcd's: how long clients wait for the cluster at a start. */
const CLUSTER_READY_MS = 5_000;
/** How long one step of a stop may take. No step needs as much when nothing hangs. */
const STOP_STEP_MS = 3_000;
/** On top of an election timeout, for a busy event loop. */
const STOP_SLACK_MS = 1_000;
/** The engine writes out what is in memory. */
const STORAGE_CLOSE_MS = 10_000;

/** A member with everything around it, from its data directory to its listeners. */
export class RunningServer {
  readonly #whole: WholeMember;
  readonly #storage: Storage;
  readonly #clients: ClientServers;
  readonly #peers: PeerConnections;
  readonly #logins: Logins;
  readonly #audit: AuditLines | undefined;
  readonly #logger: Logger;

  private constructor(parts: {
    whole: WholeMember;
    storage: Storage;
    clients: ClientServers;
    peers: PeerConnections;
    logins: Logins;
    audit: AuditLines | undefined;
    logger: Logger;
  }) {
    this.#whole = parts.whole;
    this.#storage = parts.storage;
    this.#clients = parts.clients;
    this.#peers = parts.peers;
    this.#logins = parts.logins;
    this.#audit = parts.audit;
    this.#logger = parts.logger;
  }

  /** Resolves when the cluster has removed this member. */
  get removed(): Promise<string> {
    return this.#peers.removed.then(() => 'removed');
  }

  /** Rejects with the errors of `serve` for what cannot be opened, read or listened on. */
  static async start(config: Config, logging: Logging): Promise<RunningServer> {
    const logger = logging.for('cli/running-server.ts');
    const metrics = new Metrics();
    const logins = new Logins(config, clock, logging.for('api/auth/logins.ts'));
    const audit = await openAuditLines(config, logging, metrics);
    const tls = await openClientTls({ config, logger: logging.for('tls/tls-endpoint.ts') });
    checkClientUrls(config, tls);
    const peers = await PeerConnections.prepare(config, logging);
    const directory = dataDirectory(config.dataDir, config.walDir);
    checkUsable(directory);
    const begin = (): Promise<Founding> =>
      bootstrap({ config, client: peers.client, dns: new SystemDns(), logger });
    let founding = logExists(directory.wal) ? undefined : await begin();
    warnOfOpenDirectory(config.dataDir, logger);
    const storage = await open(config, logging, { founding, metrics });
    await checkComplete(storage);
    const { isNew } = storage;
    if (isNew && founding === undefined) founding = await beginAgain(storage, begin);
    if (!isNew && config.discovery !== undefined)
      logger.warn('discovery token is ignored since cluster already initialized; valid logs are found');
    const identity = founding ?? decodeIdentity(storage.contents.metadata);
    logger.info('starting member', {
      'local-member-id': hex(identity.memberId),
      'cluster-id': hex(identity.clusterId),
      'is-new': isNew,
    });
    const { simple } = logins.tokens;
    const whole = new WholeMember({
      ...{ config, identity, metrics, clock },
      storage: await memberStorage(config, storage, { identity, isNew, logger }),
      founders: founding?.founders ?? [],
      remotes: founding?.remotes ?? [],
      scheduler: timers,
      randomInt: (bound) => randomInt(bound),
      logger: (caller) => logging.for(caller),
      ...(simple === undefined ? {} : { tokens: simple }),
      hashInWorker: (scope, opened) => hashInWorker(storage.engine, scope, opened),
      replaceStore: () => storage.engine.replaceFiles(),
      serverVersion: etcdVersion,
      ...peers.ports({ identity, storage, metrics }),
    });
    if (
      !isNew &&
      config.featureGates.get('InitialCorruptCheck') === true &&
      !(await whole.checkInitially())
    ) {
      await storage.close();
      throw new StartError(`${hex(identity.memberId)} found data inconsistency with peers`);
    }
    whole.connect();
    await peers.listen(whole.answers);
    const { member, leases, memberships, downgrades } = whole;
    const clients = new ClientServers(config, logging, {
      ...{ member, metrics, logins, leases, memberships, downgrades, tls, audit },
      exportSnapshot: () => exportSnapshot(storage.engine),
      randomInt: (bound) => randomInt(bound),
    });
    whole.start();
    await clusterReady(whole.periodicTasks.publisher, logger);
    await clients.listen();
    logger.info('ready to serve client requests');
    notifyInit(process.env, logger);
    return new RunningServer({ whole, storage, clients, peers, logins, audit, logger });
  }

  /** A leader hands over first, so that the cluster is not without one. Ends within bounds whatever hangs. */
  stop(): Promise<void> {
    const whole = this.#whole;
    const { config } = whole.member;
    const step = (name: string, limitMs: number, run: StopStep['run']): StopStep => ({ name, limitMs, run });
    const steps = [
      step('handing leadership over', config.electionTimeoutMs + STOP_SLACK_MS, () =>
        whole.transferLeadership(),
      ),
      step('ending periodic work', STOP_STEP_MS, () => whole.stopPeriodicTasks()),
      step('ending client connections', STOP_STEP_MS, () => this.#clients.stop()),
      step('stopping the member', STOP_STEP_MS, () => whole.stop()),
      step('ending peer connections', STOP_STEP_MS, () => this.#peers.stop()),
      step('ending logins', STOP_STEP_MS, () => this.#logins.close()),
      step('ending the audit log', STOP_STEP_MS, () => this.#audit?.file.close()),
      step('closing the storage', STORAGE_CLOSE_MS, () => this.#storage.close()),
    ];
    return runStopSteps(steps, this.#logger);
  }
}

interface Opening {
  readonly founding: Founding | undefined;
  readonly metrics: Metrics;
}

function open(config: Config, logging: Logging, { founding, metrics }: Opening): Promise<Storage> {
  // What a failed write or sync left on the disk is not known: only a new start reads what is there.
  const endBecause = (message: string) => (error: Error) => {
    logging.write('fatal', 'cli/running-server.ts', message, { error: error.message });
    process.exit(1);
  };
  return openStorage({
    dataDirectory: config.dataDir,
    walDirectory: config.walDir,
    tuning: { ...defaultTuning, blockCacheBytes: config.blockCacheBytes },
    newMetadata: () => {
      if (founding === undefined) throw new Error('a new log belongs to a member that is founded or joins');
      return encodeIdentity(founding);
    },
    onFailure: endBecause('the log cannot be written'),
    onStoreFailure: endBecause('the store cannot be written'),
    onSync: (durationMs, bytes, bufferMs) => {
      metrics.disk.walFsync.observe(durationMs / 1000);
      metrics.disk.walWrite.observe(bufferMs / 1000);
      metrics.disk.walWriteBytes += bytes;
    },
    // A batch goes into the store by one write, without a sync: that is its commit.
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
 * The first start was killed after it had made the log and before the log said who the founding members are. Without
 * them a member never elects anybody.
 */
async function beginAgain(storage: Storage, begin: () => Promise<Founding>): Promise<Founding> {
  try {
    const founding = await begin();
    const { memberId, clusterId } = decodeIdentity(storage.contents.metadata);
    if (founding.memberId !== memberId || founding.clusterId !== clusterId)
      throw new StartError(
        `the log in ${storage.directory.wal} is of member ${hex(memberId)} of cluster ${hex(clusterId)}, and the flags are those of another member: remove the data directory to begin anew`,
      );
    return founding;
  } catch (error) {
    await storage.close();
    throw error;
  }
}

/** The log begins behind what is in the store; without that store its beginning is missing. */
async function checkComplete({ engine, contents, directory, close }: Storage): Promise<void> {
  const { index } = new AppliedState(engine);
  if (index >= contents.mark.index) return;
  await close();
  throw new DataDirectoryError(
    `the log in ${directory.wal} goes on behind entry ${contents.mark.index}, but the store in ${directory.rocksdb} ends with entry ${index}: it is missing or of another member`,
  );
}

/** What the member starts from: the data directory as it is, or made into a cluster of its own. */
async function memberStorage(
  config: Config,
  storage: Storage,
  { identity, isNew, logger }: { identity: Identity; isNew: boolean; logger: Logger },
): Promise<MemberStorage> {
  if (!config.forceNewCluster || isNew) return storage;
  const { engine, log, space } = storage;
  const contents = await forceNewCluster({
    ...{ log, identity, logger, contents: storage.contents, applied: new AppliedState(engine) },
    peerUrls: config.advertisePeerUrls.map(({ text }) => text),
  });
  return { engine, log, contents, isNew, space };
}

/** Clients are served once this member has published its name, or after a while without a leader. */
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
