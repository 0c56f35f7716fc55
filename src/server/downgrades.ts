import { isError } from '../apply/results.ts';
import {
  clusterVersionOf,
  formatClusterVersion,
  formatVersion,
  isValidDowngrade,
  parseVersion,
  type Version,
} from '../membership/version.ts';
import { EtcdError, errors, GrpcCode } from '../wire/errors.ts';
import { type DowngradeRequest, DowngradeRequestDowngradeAction } from '../wire/gen/etcdserverpb.ts';
import { DowngradeInfoSetRequest } from '../wire/gen/membershippb.ts';
import type { Member } from './member.ts';
import { RaftRequestField } from './raft-request.ts';

/** Downgrade of the cluster to the previous minor version: validate, enable and cancel. */
export class Downgrades {
  readonly #member: Member;

  constructor(member: Member) {
    this.#member = member;
  }

  /** Returns the cluster version for the response. Rejects with etcd's errors. */
  async handle(request: DowngradeRequest): Promise<string> {
    switch (request.action) {
      case DowngradeRequestDowngradeAction.VALIDATE:
        await this.#validate(targetOf(request.version));
        break;
      case DowngradeRequestDowngradeAction.ENABLE: {
        const target = targetOf(request.version);
        await this.#validate(target);
        await this.#set(true, formatVersion(target));
        break;
      }
      case DowngradeRequestDowngradeAction.CANCEL:
        await this.#linearize();
        // As in etcd, this succeeds even when there is no downgrade to cancel.
        if (this.#member.cluster.downgrade.enabled) await this.#set(false, '');
        break;
      default:
        throw new EtcdError(GrpcCode.Unknown, 'etcdserver: unknown method');
    }
    const { version } = this.#member.cluster;
    return version === undefined ? '' : formatClusterVersion(version);
  }

  async #validate(target: Version): Promise<void> {
    this.#clusterVersion();
    await this.#linearize();
    const version = this.#clusterVersion();
    const { downgrade } = this.#member.cluster;
    if (!isValidDowngrade(clusterVersionOf(version), target)) throw errors.InvalidDowngradeTargetVersion;
    if (downgrade.enabled) throw errors.DowngradeInProcess;
  }

  #clusterVersion(): Version {
    const { version } = this.#member.cluster;
    if (version === undefined) throw errors.ClusterVersionUnavailable;
    return version;
  }

  #linearize(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#member.read({ readable: resolve, failed: reject });
    });
  }

  #set(enabled: boolean, ver: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#member.propose(
        RaftRequestField.downgradeInfoSet,
        DowngradeInfoSetRequest.encode({ enabled, ver }),
        undefined,
        {
          settled: (result) => {
            if (isError(result)) reject(result);
            else resolve();
          },
          failed: reject,
        },
      );
    });
  }
}

/** Parses `3.6` or `3.6.0`; the patch is dropped. */
function targetOf(text: string): Version {
  const version = parseVersion(text) ?? parseVersion(`${text}.0`);
  if (version === undefined) throw errors.WrongDowngradeVersionFormat;
  return clusterVersionOf(version);
}
