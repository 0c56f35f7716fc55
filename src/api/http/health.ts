import type { IncomingMessage, ServerResponse } from 'node:http';
import { reasonOf } from '../../lib/text.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import type { Logger } from '../../ports/logger.ts';
import type { HealthSource } from './health-source.ts';
import { allowsGet, reply, replyError, requestUrl } from './reply.ts';

export interface HealthOptions {
  readonly source: HealthSource;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/**
 * `/health`: one result from the alarms, the leader and a read. As in etcd, the body is JSON with a text content
 * type.
 */
export async function serveHealth(
  request: IncomingMessage,
  response: ServerResponse,
  { source, metrics, logger }: HealthOptions,
): Promise<void> {
  if (!allowsGet(request, response)) {
    logger.warn('/health error', { 'status-code': 405 });
    return;
  }
  const { query } = requestUrl(request);
  const excluded = new Set(query.getAll('exclude').filter((name) => name !== ''));
  const reason = await unhealthyReason(source, excluded, query.get('serializable') === 'true', logger);
  const text = JSON.stringify({ health: reason === '' ? 'true' : 'false', reason });
  if (reason === '') {
    metrics.server.healthSuccess++;
    // Go detects the content type after it has written Date and length.
    response.setHeader('Content-Type', 'text/plain; charset=utf-8');
    reply(response, 200, [], text);
    logger.debug('/health OK', { 'status-code': 200 });
  } else {
    metrics.server.healthFailures++;
    replyError(response, 503, text);
    logger.warn('/health error', { output: text, 'status-code': 503 });
  }
}

async function unhealthyReason(
  source: HealthSource,
  excluded: ReadonlySet<string>,
  serializable: boolean,
  logger: Logger,
): Promise<string> {
  const alarm = source.alarms().find((kind) => !excluded.has(kind));
  if (alarm !== undefined) {
    logger.warn('serving /health false due to an alarm', { alarm });
    return alarm === 'NOSPACE' || alarm === 'CORRUPT' ? `ALARM ${alarm}` : 'ALARM UNKNOWN';
  }
  if (!serializable && !source.hasLeader()) {
    logger.warn('serving /health false; no leader');
    return 'RAFT NO LEADER';
  }
  try {
    await source.read({ serializable });
    return '';
  } catch (error) {
    logger.warn('serving /health false; Range fails', { error });
    return `RANGE ERROR:${messageOf(error)}`;
  }
}

type Check = (source: HealthSource) => Promise<void>;

const serializableRead: Check = (source) => source.read({ serializable: true });

/** The checks of each probe, by the name of its path. */
const probes: Readonly<Record<string, ReadonlyMap<string, Check>>> = {
  livez: new Map([['serializable_read', serializableRead]]),
  readyz: new Map<string, Check>([
    ['data_corruption', notCorrupt],
    ['serializable_read', serializableRead],
    ['linearizable_read', (source) => source.read({ serializable: false })],
    ['non_learner', notLearner],
  ]),
};

function notCorrupt(source: HealthSource): Promise<void> {
  const corrupt = source.alarms().includes('CORRUPT');
  return corrupt ? Promise.reject(new Error('alarm activated: CORRUPT')) : Promise.resolve();
}

function notLearner(source: HealthSource): Promise<void> {
  return source.isLearner() ? Promise.reject(new Error('not supported for learner')) : Promise.resolve();
}

/** The checks that a path selects; undefined if it is not a probe. */
export function probeChecks(path: string): { probe: string; checks: ReadonlyMap<string, Check> } | undefined {
  const [, probe = '', name, ...rest] = path.split('/');
  const checks = Object.hasOwn(probes, probe) ? probes[probe] : undefined;
  if (checks === undefined || rest.length > 0) return undefined;
  if (name === undefined) return { probe, checks };
  const check = checks.get(name);
  return check === undefined ? undefined : { probe, checks: new Map([[name, check]]) };
}

/** Serves `/livez` and `/readyz`, all checks or a single one. */
export async function serveProbe(
  request: IncomingMessage,
  response: ServerResponse,
  asked: { readonly probe: string; readonly checks: ReadonlyMap<string, Check> },
  { source, metrics, logger }: HealthOptions,
): Promise<void> {
  const { path, query } = requestUrl(request);
  if (!allowsGet(request, response)) {
    logger.warn('Health request error', { path, 'status-code': 405 });
    return;
  }
  const excluded = new Set(
    path === `/${asked.probe}` ? query.getAll('exclude').filter((name) => name !== '') : [],
  );
  const missing = [...excluded].filter((name) => !asked.checks.has(name));
  if (missing.length > 0) {
    const names = missing.map((name) => JSON.stringify(name)).join(',');
    logger.warn('some health checks cannot be excluded', { 'missing-health-checks': names });
  }
  let reason = '';
  let failed = false;
  for (const [name, check] of asked.checks) {
    if (excluded.has(name)) continue;
    const fault = await faultOf(check, source);
    failed ||= fault !== undefined;
    reason += fault === undefined ? `[+]${name} ok\n` : `[-]${name} failed: ${fault}\n`;
    metrics.server.healthCheck.set([asked.probe, name], fault === undefined ? 1 : 0);
    metrics.server.healthChecks.add([asked.probe, name, fault === undefined ? 'success' : 'error']);
  }
  if (failed) {
    replyError(response, 503, reason);
    logger.error('Health check error', { path, reason, 'status-code': 503 });
    return;
  }
  const body = query.has('verbose') ? `${reason}ok\n` : 'ok\n';
  const type = [
    ['Content-Type', 'text/plain; charset=utf-8'],
    ['X-Content-Type-Options', 'nosniff'],
  ] as const;
  reply(response, 200, type, body);
  logger.debug('Health check OK', { path, reason, 'status-code': 200 });
}

async function faultOf(check: Check, source: HealthSource): Promise<string | undefined> {
  try {
    await check(source);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function messageOf(error: unknown): string {
  return reasonOf(error);
}
