import { runCommand, type CommandOptions, type CommandResult } from './command.ts';
import { Program } from './program.ts';
import { requirePeer } from './paths.ts';

/** The original etcdctl for one endpoint, with flags for all commands. */
export class Etcdctl {
  readonly endpoint: string;
  readonly #flags: readonly string[];

  constructor(endpoint: string, flags: readonly string[] = []) {
    this.endpoint = endpoint;
    this.#flags = [`--endpoints=${endpoint}`, ...flags];
  }

  /** Runs one command to its end. */
  run(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return runCommand(requirePeer('etcdctl'), this.#withFlags(args), options);
  }

  /** Runs one command that must succeed, and returns its standard output. */
  async ok(args: readonly string[], options: CommandOptions = {}): Promise<string> {
    const result = await this.run(args, options);
    if (result.code !== 0) {
      throw new Error(
        `etcdctl ${args.join(' ')} ended with ${String(result.code)}: ${result.stderr}${result.stdout}`,
      );
    }
    return result.stdout;
  }

  /** Starts a command that runs until it is stopped: a watch, a lock, an election. */
  start(args: readonly string[]): Program {
    return new Program(`etcdctl ${args.join(' ')}`, requirePeer('etcdctl'), this.#withFlags(args));
  }

  #withFlags(args: readonly string[]): string[] {
    return [...this.#flags, ...args];
  }
}
