import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { mount, type Mount } from '../storage/mounts.ts';
import { tempDir, removeTempDir } from './temp-dir.ts';

/** cgroup v1: limits of its root group apply to every process. */
const THROTTLE = '/sys/fs/cgroup/blkio/blkio.throttle.write_iops_device';
/** EXT4_IOC_SHUTDOWN of Linux, with the flag not to flush the journal. */
const SHUTDOWN_IOCTL = 0x8004587d;
const NO_LOG_FLUSH = 2;

const mounted = new Set<TestDisk>();

/** A test that ends early must not leave mounts. Its programs are already killed then. */
process.on('exit', () => {
  for (const disk of mounted) disk.abandon();
});

/**
 * A separate ext4 file system in a file, mounted by a loop device. Disk faults can be injected for any program. Needs
 * root.
 */
export class TestDisk {
  readonly #folder = tempDir('disk');
  readonly #image = join(this.#folder, 'disk.img');
  #mount: Mount;
  #failed = false;

  /** @param size in the syntax of `truncate`; the file is sparse */
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
   * From now on all writes, syncs and opens fail with EIO. Data that was not synced is lost, as after a power cut.
   */
  fail(): void {
    const script =
      `my $flags = pack("L", ${NO_LOG_FLUSH}); open(my $disk, "<", $ARGV[0]) or die $!; ` +
      `ioctl($disk, ${SHUTDOWN_IOCTL}, $flags) or die $!`;
    execFileSync('perl', ['-e', script, this.path]);
    this.#failed = true;
  }

  /** Mounts it again at the same path, as after a power cut or a repair. No process may use it. */
  repair(): void {
    if (!this.#failed) return;
    this.#mount = this.#mount.again('-o', 'loop', this.#image);
    this.#failed = false;
  }

  /** Fills the disk up to about this number of free bytes. */
  fill(leave = 0): void {
    const { bavail, bsize } = statfsSync(this.path);
    const bytes = Math.max(0, bavail * bsize - leave);
    execFileSync('fallocate', ['-l', String(Math.max(bytes, 1)), this.#ballast]);
  }

  empty(): void {
    rmSync(this.#ballast, { force: true });
  }

  /** Limits the number of writes per second. A sync needs about three. 0 means no limit. */
  slow(writesPerSecond: number): void {
    writeFileSync(THROTTLE, `${this.#deviceNumber} ${writesPerSecond}`);
  }

  remove(): void {
    if (canSlowDisks()) this.slow(0);
    this.#mount.unmount();
    mounted.delete(this);
    removeTempDir(this.#folder);
  }

  /** Unmounts it when its last user has ended. */
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

/** The reason why such disks are impossible here, or undefined. */
export function missingForDisks(): string | undefined {
  try {
    new TestDisk('64M').remove();
    return undefined;
  } catch {
    return 'skipped: test disks need root, loop devices, mkfs.ext4 and perl';
  }
}
