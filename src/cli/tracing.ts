import type { Config } from '../config/config.ts';
import type { Logging } from '../logging/logging.ts';
import type { OtelTracing } from '../tracing/otel-tracing.ts';

/** Starts tracing where the flags ask for it. Its code is loaded only then. */
export async function startTracing(config: Config, logging: Logging): Promise<OtelTracing | undefined> {
  const { tracing } = config;
  if (tracing === undefined) return undefined;
  const { OtelTracing: Tracing } = await import('../tracing/otel-tracing.ts');
  const logger = logging.for('cli/tracing.ts');
  logger.debug('distributed tracing enabled', {
    address: tracing.address,
    'service-name': tracing.serviceName,
    'service-instance-id': tracing.instanceId,
    'sampling-rate': tracing.samplesPerMillion,
  });
  return new Tracing({ ...tracing, logger });
}
