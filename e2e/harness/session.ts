import { join } from 'node:path';
import { Etcdctl } from './etcdctl.ts';
import { runCommand, type CommandResult } from './command.ts';
import { requirePeer } from './paths.ts';
import type { Member } from './member.ts';
import { tempDir } from './temp-dir.ts';
import { eventually } from './wait.ts';

/** One step of a session, which can be run on several servers. */
export interface Step {
  title: string;
  run: (session: Session) => Promise<string>;
}

/**
 * A session with one member. It replaces each id that the server chose by the order of its first appearance, so that the
 * transcripts of two servers can be compared.
 */
export class Session {
  readonly member: Member;
  readonly etcdctl: Etcdctl;
  readonly folder: string;
  readonly #chosen = new Map<string, string>();
  readonly #leases: string[] = [];

  constructor(member: Member, etcdctl = new Etcdctl(member.endpoint)) {
    this.member = member;
    this.etcdctl = etcdctl;
    this.folder = tempDir('session');
  }

  /** The lease granted as the `index`-th of this session, in hex as etcdctl writes it. */
  lease(index: number): string {
    const id = this.#leases.at(index);
    if (id === undefined) throw new Error(`no lease ${index} was granted in this session`);
    return id;
  }

  async etcdutl(...args: string[]): Promise<string> {
    return this.transcript(await runCommand(requirePeer('etcdutl'), args));
  }

  file(name: string): string {
    return join(this.folder, name);
  }

  /** Records a lease id in hex. From then on it is replaced in hex and in decimal. */
  rememberLease(hex: string): void {
    if (this.#chosen.has(hex)) return;
    const label = `<lease ${this.#leases.length}>`;
    this.#leases.push(hex);
    this.#chosen.set(hex, label);
    this.#chosen.set(BigInt(`0x${hex}`).toString(), label);
  }

  transcript(result: CommandResult): string {
    return this.normalise(`exit ${String(result.code)}\n${result.stdout}${result.stderr}`);
  }

  /**
   * Replaces everything in which two correct servers may differ: chosen ids, sizes, durations, times, log positions, and
   * the width of columns.
   */
  normalise(text: string): string {
    for (const match of text.matchAll(/\blease ([0-9a-f]{8,16}) granted/g))
      this.rememberLease(match[1] ?? '');
    for (const match of text.matchAll(/\b(?:locks|posts)\/([0-9a-f]{8,16})\b/g))
      this.rememberLease(match[1] ?? '');
    let result = text.replaceAll(this.folder, '<folder>');
    for (const [id, label] of this.#chosen) result = result.replaceAll(id, label);
    return result
      .replaceAll(/"ts":"[^"]*"/g, '"ts":"<time>"')
      .replaceAll(/─+/g, '─')
      .replaceAll(/ *│ */g, ' │ ')
      .replaceAll(/LocalAddr: '[^']*'/g, "LocalAddr: '<address>'")
      .replaceAll(
        /(attached keys\(\[)([^\]]*)/g,
        (_, before: string, keys: string) => before + sorted(keys, ' '),
      )
      .replaceAll(/("keys":\[)([^\]]*)/g, (_, before: string, keys: string) => before + sorted(keys, ','))
      .replaceAll(/0x[0-9a-f]{6,}\/(?=\d)/g, '<pointer>/')
      .replaceAll(/\b\d+(\.\d+)?(ns|µs|ms|s)\b/g, '<duration>')
      .replaceAll(/\b\d+(\.\d+)? [kMG]?B\b/g, '<size>')
      .replaceAll(/"ttl":\d+/g, '"ttl":<number>')
      .replaceAll(/\b\d+%/g, '<percent>')
      .replaceAll(/(?<=(?:true|false)(,| │) \d+\1) \d+\1 \d+(?=\1)/g, ' <number>$1 <number>')
      .replaceAll(/("(?:dbSize|dbSizeInUse|raftIndex|raftAppliedIndex)" ?: ?)\d+/g, '$1<number>')
      .replaceAll(
        /("(?:DBSize|DBSizeInUse|RaftIndex|RaftAppliedIndex|StorageVersion)" : )\d+/g,
        '$1<number>',
      );
  }
}

/** The order of the keys of a lease is not defined. */
function sorted(list: string, separator: string): string {
  return list.split(separator).toSorted().join(separator);
}

/** Runs etcdctl to its end. Arguments without spaces can be given as one string. */
export function command(args: string | string[], options: { input?: string } = {}): Step {
  const list = typeof args === 'string' ? args.split(' ') : args;
  return {
    title: `${list.join(' ')}${options.input === undefined ? '' : ' < input'}`,
    run: async (session) => session.transcript(await session.etcdctl.run(list, options)),
  };
}

/** As {@link command}, with arguments that depend on what the session has seen. */
export function commandOf(
  title: string,
  args: (session: Session) => string[],
  options: { input?: string } = {},
): Step {
  return {
    title,
    run: async (session) => session.transcript(await session.etcdctl.run(args(session), options)),
  };
}

/** Starts etcdctl, waits for a number of output lines while other work runs, and interrupts it. */
export function untilLines(
  args: string,
  count: number,
  meanwhile?: (session: Session) => Promise<unknown>,
): Step {
  return {
    title: `${args} (until ${count} lines)`,
    run: async (session) => {
      const program = session.etcdctl.start(args.split(' '));
      try {
        await meanwhile?.(session);
        await eventually(
          `${count} lines of ${program.title}: ${program.tail()}`,
          () => {
            if (program.lines.length >= count) return true;
            program.mustBeAlive();
            return false;
          },
          { timeoutMs: 10_000 },
        );
      } finally {
        await program.stop('SIGINT', 5_000);
      }
      return session.normalise(program.lines.join('\n'));
    },
  };
}
