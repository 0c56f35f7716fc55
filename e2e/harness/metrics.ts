import type { Member } from './member.ts';

/** The metrics of a member, in the text format of Prometheus. */
export async function metricsOf({ clientUrl }: Pick<Member, 'clientUrl'>): Promise<string> {
  return (await fetch(`${clientUrl}/metrics`)).text();
}

/** The value of a metric without labels; NaN if there is none. */
export async function metricOf(member: Pick<Member, 'clientUrl'>, name: string): Promise<number> {
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(await metricsOf(member))?.[1]);
}
