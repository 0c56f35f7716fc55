import type { Member } from '../server/member.ts';
import { formatVersion } from '../membership/version.ts';
import { AlarmType } from '../wire/gen/etcdserverpb.ts';
import type { HealthSource, VersionSource } from './http/health-source.ts';

const alarmNames: Readonly<Record<number, string>> = {
  [AlarmType.NOSPACE]: 'NOSPACE',
  [AlarmType.CORRUPT]: 'CORRUPT',
};

/** The member, as the health endpoints need it. */
export function healthSource(member: Member): HealthSource {
  return {
    hasLeader: () => member.hasLeader,
    isLearner: () => member.cluster.isLocalLearner,
    alarms: () => member.alarms.get(AlarmType.NONE).map(({ alarm }) => alarmNames[alarm] ?? 'UNKNOWN'),
    read: ({ serializable }) =>
      serializable
        ? Promise.resolve()
        : new Promise((resolve, reject) => {
            member.read({ readable: resolve, failed: reject });
          }),
  };
}

/** The versions that clients see. */
export function versionSource(member: Member): VersionSource {
  const clusterVersion = (): string | undefined => {
    const { version } = member.cluster;
    return version === undefined ? undefined : formatVersion(version);
  };
  // As in etcd, the storage version follows the cluster version.
  return { clusterVersion, storageVersion: clusterVersion };
}
