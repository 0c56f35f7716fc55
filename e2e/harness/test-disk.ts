import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { mount, type Mount } from '../storage/mounts.ts';
import { tempDir, removeTempDir } from './temp-dir.ts';

/** Of cgroup v1, whose limits of the root group hold for every process. */
const THROTTLE = '/sys/fs/cgroup/blkio/blkio.throttle.write_iops_device';
/** EXT4_IOC_SHUTDOWN of Linux, and its flag that the journal is not flushed. */
const SHUTDOWN_IOCTL = 0x8004587d;
const NO_LOG_FLUSH = 2;

const mounted = new Set<TestDisk>();

/** A test that ends early leaves no mounts. The programs it started are killed by then. */
process.on('exit', () => {
  for (const disk of mounted) disk.abandon();
});

/**
 * A file system of its own in a file (ext4 by a loop device), which can fail as a disk does, whatever program uses it.
 * Needs root.
 */
export class TestDisk {
  readonly #folder = tempDir('disk');
  readonly #image = join(this.#folder, 'disk.img');
  #mount: Mount;
  #failed = false;

  /** @param size as `truncate` takes it; the file is sparse */
  constructor(size = '4G') {
    execFileSync('truncate', ['-s', size, this.#image]);
    execFileSync('mkfs.ext4', ['-q', '-F', '-E', 'lazy_itable_init=1,nodiscard', this.#image]);
    this.#mount = mount('-o', 'loop', this.#image);
    mounted.add(this);
  }

  get path(): string {
    return this.#mount.path;
  }

  get failed(): boolean {
    return this.#failed;
  }

  /**
   * From now on all writes, syncs and opens fail with EIO. What was not synced is lost, so that this is also what a
   * power cut leaves.
   */
  fail(): void {
    const script =
      `my $flags = pack("L", ${NO_LOG_FLUSH}); open(my $disk, "<", $ARGV[0]) or die $!; ` +
      `ioctl($disk, ${SHUTDOWN_IOCTL}, $flags) or die $!`;
    execFileSync('perl', ['-e', script, this.path]);
    this.#failed = true;
  }

  /** Mounts it anew at the same path, as after a power cut or a repair. No process may use it. */
  repair(): void {
    if (!this.#failed) return;
    this.#mount = this.#mount.again('-o', 'loop', this.#image);
    this.#failed = false;
  }

  /** Leaves about this many bytes. */
  fill(leave = 0): void {
    const { bavail, bsize } = statfsSync(this.path);
    const bytes = Math.max(0, bavail * bsize - leave);
    execFileSync('fallocate', ['-l', String(Math.max(bytes, 1)), this.#ballast]);
  }

  empty(): void {
    rmSync(this.#ballast, { force: true });
  }

  /** Lets through this many writes a second; a sync takes about three. 0 is no limit. */
  slow(writesPerSecond: number): void {
    writeFileSync(THROTTLE, `${this.#deviceNumber} ${writesPerSecond}`);
  }

  remove(): void {
    if (canSlowDisks()) this.slow(0);
    this.#mount.unmount();
    mounted.delete(this);
    removeTempDir(this.#folder);
  }

  /** Unmounts it once its last user is gone. */
  abandon(): void {
    if (canSlowDisks()) this.slow(0);
    execFileSync('umount', ['--lazy', this.path], { stdio: 'ignore' });
  }

  get #ballast(): string {
    return join(this.path, 'ballast');
  }

  get #deviceNumber(): string {
    const source = execFileSync('findmnt', ['-no', 'SOURCE', this.path], { encoding: 'utf8' }).trim();
    return readFileSync(`/sys/block/${basename(source)}/dev`, 'utf8').trim();
  }
}

export function canSlowDisks(): boolean {
  return existsSync(THROTTLE);
}

/** Why no such disks can be made here, or undefined. */
export function missingForDisks(): string | undefined {
  try {
    new TestDisk('64M').remove();
    return undefined;
  } catch {
    return 'skipped: test disks need root, loop devices, mkfs.ext4 and perl';
  }
}
