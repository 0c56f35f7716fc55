import { dirname } from 'node:path';
import { assert } from '../lib/assert.ts';
import type { SeededRandom } from '../lib/seeded-random.ts';
import type { DiskDone, LogDisk, OpenDirectory, ReadableFile, WritableFile } from '../ports/log-disk.ts';
import { type Life, type SimTime, whileAlive } from './time.ts';
import { FaultCountdown } from './fault-countdown.ts';

/** Sector size. */
const SECTOR_BYTES = 512;

/** A write to a file that is not synced. */
interface Change {
  readonly position: number;
  readonly before: Buffer;
  readonly sizeBefore: number;
}

class Inode {
  #bytes = Buffer.alloc(0);
  /** Changes that a power cut may undo, oldest first. */
  unsynced: Change[] = [];

  get size(): number {
    return this.#bytes.length;
  }

  get bytes(): Buffer {
    return this.#bytes;
  }

  write(bytes: Buffer, position: number): void {
    const end = position + bytes.length;
    if (end > this.size) this.#bytes = Buffer.concat([this.#bytes, Buffer.alloc(end - this.size)]);
    bytes.copy(this.#bytes, position);
  }

  writeUnsynced(bytes: Buffer, position: number): void {
    const before = Buffer.from(this.#bytes.subarray(position, position + bytes.length));
    this.unsynced.push({ position, before, sizeBefore: this.size });
    this.write(bytes, position);
  }

  takeBack({ position, before, sizeBefore }: Change): void {
    this.#bytes = this.#bytes.subarray(0, Math.max(sizeBefore, position + before.length));
    before.copy(this.#bytes, position);
  }
}

type NameChange = { readonly from: string; readonly to: string | undefined } | { readonly made: string };

/** The file names of a directory as processes see them, and as they are after a power cut. */
class Names {
  seen = new Map<string, Inode>();
  #durable = new Map<string, Inode>();
  #unsynced: { readonly change: NameChange; readonly inode: Inode }[] = [];

  make(path: string): Inode {
    const inode = new Inode();
    this.seen.set(path, inode);
    this.#unsynced.push({ change: { made: path }, inode });
    return inode;
  }

  /** Renames, or removes if `to` is undefined. */
  move(from: string, to: string | undefined): void {
    const inode = this.seen.get(from);
    assert(inode !== undefined, `${from} exists`);
    this.seen.delete(from);
    if (to !== undefined) this.seen.set(to, inode);
    this.#unsynced.push({ change: { from, to }, inode });
  }

  sync(): void {
    this.#durable = new Map(this.seen);
    this.#unsynced = [];
  }

  /** Keeps some of the unsynced changes: the first ones, or random ones. */
  cutPower(random: SeededRandom): void {
    const isInOrder = random.chance(0.5);
    const kept = random.int(this.#unsynced.length + 1);
    for (const [at, { change, inode }] of this.#unsynced.entries()) {
      if (isInOrder ? at >= kept : random.chance(0.5)) continue;
      if ('made' in change) this.#durable.set(change.made, inode);
      else {
        this.#durable.delete(change.from);
        if (change.to !== undefined) this.#durable.set(change.to, inode);
      }
    }
    this.seen = new Map(this.#durable);
    this.#unsynced = [];
  }
}

export interface SimDiskOptions {
  readonly time: SimTime;
  readonly random: SeededRandom;
  /** Duration of the next write or sync in milliseconds. */
  readonly syncMs: () => number;
  /** A planted bug: new files reuse removed ones with their content. */
  readonly recycles: boolean;
}

/** Thrown during a start when the process is killed. */
export class KilledAtStart extends Error {
  override readonly name = 'KilledAtStart';
}

/** An operation in progress. */
interface Operation {
  /** Does a part of it, as if a crash interrupted it. */
  readonly tear: (cutsPower: boolean) => void;
}

function diskError(code: string, what: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}

/**
 * The disk of a simulated machine. It outlives the processes. A crash tears writes in progress at sector borders. A power
 * cut also undoes file names and bytes that were not synced. The disk can be full, and calls can fail.
 */
export class SimDisk {
  readonly #options: SimDiskOptions;
  readonly #names = new Names();
  readonly #underWay = new Set<Operation>();
  #removed: Buffer | undefined;
  isFull = false;
  /** The call that fails with EIO. */
  readonly eio = new FaultCountdown();
  /** The call of a start in which the process is killed. */
  readonly kill = new FaultCountdown();
  /** Number of injected failures. */
  faults = 0;
  /** Milliseconds that synchronous writes took. Simulated time stands still meanwhile. */
  #inlineMs = 0;

  constructor(options: SimDiskOptions) {
    this.#options = options;
  }

  /** Called when the processes that use it have died. */
  crash(cutsPower: boolean): void {
    for (const operation of this.#underWay) operation.tear(cutsPower);
    this.#underWay.clear();
    if (!cutsPower) return;
    const { random } = this.#options;
    this.#names.cutPower(random);
    for (const inode of this.#names.seen.values()) {
      for (const change of inode.unsynced.reverse()) if (random.chance(0.5)) inode.takeBack(change);
      inode.unsynced = [];
    }
  }

  /** Returns the file system for one process. */
  open(life: Life): LogDisk {
    const { time } = this.#options;
    const names = this.#names;
    return {
      times: {
        now: () => time.now() + this.#inlineMs,
        waitedForInput: () => time.now(),
        waitedForProcessor: () => 0,
      },
      list: (directory) =>
        [...names.seen.keys()]
          .filter((path) => dirname(path) === directory)
          .map((path) => path.slice(directory.length + 1)),
      openToRead: (path) => this.#openToRead(path),
      create: (path) => {
        this.#mayFail(path);
        if (this.isFull) throw this.#fault('ENOSPC', path);
        assert(!names.seen.has(path), `${path} is made once`);
        const inode = names.make(path);
        if (this.#options.recycles && this.#removed !== undefined) inode.write(this.#removed, 0);
        this.#removed = undefined;
        return this.#openToWrite(path, inode, life);
      },
      openToWrite: (path) => this.#openToWrite(path, this.#inode(path), life),
      openDirectory: (path) => this.#openDirectory(path, life),
      space: (path) => ({ size: this.#inode(path).size, hasHoles: false }),
      makeDirectory: () => undefined,
      removeNow: (path) => {
        this.#callAtStart(path);
        for (const name of [...names.seen.keys()])
          if (name === path || name.startsWith(`${path}/`)) names.move(name, undefined);
      },
      renameNow: (from, to) => {
        this.#callAtStart(from);
        for (const name of [...names.seen.keys()])
          if (name.startsWith(`${from}/`)) names.move(name, to + name.slice(from.length));
      },
      syncDirectoryNow: (path) => {
        this.#callAtStart(path);
        names.sync();
      },
      rename: (from, to, done) => this.#call(life, from, () => names.move(from, to), done),
      remove: (path, done) =>
        this.#call(
          life,
          path,
          () => {
            this.#removed = Buffer.from(this.#inode(path).bytes);
            names.move(path, undefined);
          },
          done,
        ),
      endOfTurn: (task) => void time.after(0, whileAlive(life, task)),
      afterInput: (task) => void time.after(0, whileAlive(life, task)),
      after: (delayMs, task) => time.after(delayMs, whileAlive(life, task)),
    };
  }

  /** An atomic call that takes the time of a sync. */
  #call(life: Life, path: string, act: () => void, done: DiskDone): void {
    const { random } = this.#options;
    const tear = (): void => {
      if (random.chance(0.5)) act();
    };
    this.#begin(
      life,
      { tear },
      path,
      () => {
        act();
        done(null);
      },
      done,
    );
  }

  #begin(life: Life, operation: Operation, path: string, finish: () => void, done: DiskDone): void {
    const { time, syncMs } = this.#options;
    this.#underWay.add(operation);
    time.after(
      syncMs(),
      whileAlive(life, () => {
        if (!this.#underWay.delete(operation)) return;
        if (!this.eio.isDue()) return finish();
        operation.tear(false);
        done(this.#fault('EIO', path));
      }),
    );
  }

  #openToRead(path: string): ReadableFile {
    this.#callAtStart(path);
    const inode = this.#inode(path);
    return {
      size: inode.size,
      read: (into, position) => {
        this.#mayFail(path);
        return inode.bytes.copy(into, 0, position);
      },
      close: () => undefined,
    };
  }

  #openToWrite(path: string, inode: Inode, life: Life): WritableFile {
    return {
      write: (bytes, position, done) =>
        this.#write(life, path, { inode, bytes: Buffer.from(bytes), position }, done),
      writeNow: (bytes, position) => {
        this.#callAtStart(path);
        if (this.isFull && position + bytes.length > inode.size) throw this.#fault('ENOSPC', path);
        this.#inlineMs += this.#options.syncMs();
        inode.write(bytes, position);
      },
      syncNow: () => {
        this.#callAtStart(path);
        inode.unsynced = [];
      },
      close: () => undefined,
    };
  }

  #openDirectory(path: string, life: Life): OpenDirectory {
    return {
      sync: (done) => this.#call(life, path, () => this.#names.sync(), done),
      close: () => undefined,
    };
  }

  #write(
    life: Life,
    path: string,
    { inode, bytes, position }: { inode: Inode; bytes: Buffer; position: number },
    done: DiskDone,
  ): void {
    const tear = (cutsPower: boolean): void => this.#tear(inode, bytes, position, cutsPower);
    this.#begin(
      life,
      { tear },
      path,
      () => {
        if (this.isFull && position + bytes.length > inode.size) return done(this.#fault('ENOSPC', path));
        inode.write(bytes, position);
        done(null);
      },
      done,
    );
  }

  /** Writes a part of the data: its beginning, or any of its sectors. */
  #tear(inode: Inode, bytes: Buffer, position: number, cutsPower: boolean): void {
    const { random } = this.#options;
    const write = (part: Buffer, at: number): void => {
      if (part.length === 0) return;
      if (cutsPower) inode.write(part, at);
      else inode.writeUnsynced(part, at);
    };
    const isWhole = random.chance(0.2);
    if (isWhole || !cutsPower || random.chance(0.3)) {
      const length = isWhole ? bytes.length : random.int(bytes.length + 1);
      write(bytes.subarray(0, length), position);
      return;
    }
    for (let at = 0; at < bytes.length;) {
      const length = Math.min(bytes.length - at, SECTOR_BYTES - ((position + at) % SECTOR_BYTES));
      if (random.chance(0.5)) write(bytes.subarray(at, at + length), position + at);
      at += length;
    }
  }

  #inode(path: string): Inode {
    const inode = this.#names.seen.get(path);
    if (inode === undefined) throw diskError('ENOENT', path);
    return inode;
  }

  #callAtStart(path: string): void {
    if (this.kill.isDue()) throw new KilledAtStart(path);
    this.#mayFail(path);
  }

  #mayFail(path: string): void {
    if (this.eio.isDue()) throw this.#fault('EIO', path);
  }

  #fault(code: string, path: string): NodeJS.ErrnoException {
    this.faults += 1;
    return diskError(code, path);
  }
}
