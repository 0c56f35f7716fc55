import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = '/sys/fs/cgroup';
const PERIOD_US = 100_000;

/** A cgroup, of version 1 or 2, whose processes may use so many cores' worth of time. Needs root. */
export class CpuQuotaGroup {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Returns undefined if this is not possible here. */
  static make(cores: number): CpuQuotaGroup | undefined {
    const isVersion2 = existsSync(join(ROOT, 'cgroup.controllers'));
    const folder = join(ROOT, isVersion2 ? '' : 'cpu', `keystead-quota-${process.pid}`);
    const quota = String(cores * PERIOD_US);
    try {
      mkdirSync(folder);
    } catch {
      return undefined;
    }
    const group = new CpuQuotaGroup(folder);
    try {
      if (isVersion2) writeFileSync(join(folder, 'cpu.max'), `${quota} ${PERIOD_US}`, { flag: 'r+' });
      else {
        writeFileSync(join(folder, 'cpu.cfs_period_us'), String(PERIOD_US), { flag: 'r+' });
        writeFileSync(join(folder, 'cpu.cfs_quota_us'), quota, { flag: 'r+' });
      }
    } catch {
      group.remove();
      return undefined;
    }
    return group;
  }

  /** Runs the command that follows in the group. */
  get prefix(): readonly string[] {
    return ['sh', '-c', `echo $$ > ${join(this.#folder, 'cgroup.procs')} && exec "$@"`, 'sh'];
  }

  /** Its processes must have ended. */
  remove(): void {
    rmdirSync(this.#folder);
  }
}
