import { assert } from '../lib/assert.ts';
import type { Cluster } from '../membership/cluster.ts';
import { parseVersion } from '../membership/version.ts';
import {
  AlarmRequestAlarmAction,
  AlarmResponse,
  AlarmType,
  type AlarmRequest,
  type InternalRaftRequest,
} from '../wire/gen/etcdserverpb.ts';
import type { AlarmStore } from './alarms.ts';
import { type Applied, message } from './results.ts';

/**
 * Applies the requests that members send each other through the raft log. @returns false if this is not one of them
 */
export function applyClusterRequest(cluster: Cluster, request: InternalRaftRequest): boolean {
  if (request.clusterVersionSet !== undefined) {
    const version = parseVersion(request.clusterVersionSet.ver);
    assert(version !== undefined, 'the raft log sets the cluster to a semantic version');
    cluster.setVersion(version);
    return true;
  }
  if (request.clusterMemberAttrSet !== undefined) {
    const { memberId, memberAttributes } = request.clusterMemberAttrSet;
    cluster.updateAttributes(memberId, memberAttributes ?? { name: '', clientUrls: [] });
    return true;
  }
  if (request.downgradeInfoSet !== undefined) {
    const { enabled, ver } = request.downgradeInfoSet;
    cluster.setDowngrade(enabled ? { enabled, targetVersion: ver } : { enabled, targetVersion: '' });
    return true;
  }
  // etcd's own tests write this. Members must accept it.
  return request.downgradeVersionTest !== undefined;
}

export function applyAlarm(alarms: AlarmStore, request: AlarmRequest, revision: number): Applied {
  return message(
    revision,
    AlarmResponse.encode({ header: undefined, alarms: affectedAlarms(alarms, request) }),
  );
}

function affectedAlarms(
  alarms: AlarmStore,
  { action, memberId, alarm }: AlarmRequest,
): AlarmResponse['alarms'] {
  switch (action) {
    case AlarmRequestAlarmAction.GET:
      return alarms.get(alarm);
    case AlarmRequestAlarmAction.ACTIVATE:
      return alarm === AlarmType.NONE ? [] : [alarms.activate(memberId, alarm)];
    case AlarmRequestAlarmAction.DEACTIVATE: {
      const lowered = alarms.deactivate(memberId, alarm);
      return lowered === undefined ? [] : [lowered];
    }
    default:
      return [];
  }
}
