import { runCommand, type CommandOptions, type CommandResult } from './command.ts';
import { Program } from './program.ts';
import { requirePeer } from './paths.ts';

/** Stock etcdctl, pointed at one endpoint. */
export class Etcdctl {
  readonly #endpoint: string;

  constructor(endpoint: string) {
    this.#endpoint = endpoint;
  }

  /** Runs one command to its end. */
  run(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return runCommand(requirePeer('etcdctl'), this.#withEndpoint(args), options);
  }

  /** Runs one command that has to succeed, and returns its standard output. */
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
    return new Program(`etcdctl ${args.join(' ')}`, requirePeer('etcdctl'), this.#withEndpoint(args));
  }

  #withEndpoint(args: readonly string[]): string[] {
    return [`--endpoints=${this.#endpoint}`, ...args];
  }
}
