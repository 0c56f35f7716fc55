import { execFileSync } from 'node:child_process';

/** How packets are blocked: dropped silently, or rejected. */
export type Block = 'blackhole' | 'unreachable';

interface Rule {
  readonly from: number;
  readonly to: number;
  readonly block: Block;
}

const built = new Set<TestNetwork>();

/** A test that ends early must not leave namespaces. */
process.on('exit', () => {
  for (const network of built) network.remove();
});

/**
 * A separate network for the members of one cluster. Each member runs in a network namespace behind a router, which can
 * block packets. This process can always reach all members. Needs root.
 */
export class TestNetwork {
  readonly #id: number;
  readonly #members: number;
  #rules: Rule[] = [];

  constructor(members: number) {
    this.#members = members;
    this.#id = freeId();
    this.#build();
    built.add(this);
  }

  /** Address of a member. */
  host(at: number): string {
    return `10.77.${this.#id}.${at * 4 + 2}`;
  }

  /** The command that runs a member in its namespace. Unlike `ip netns exec`, it does not copy the mounts. */
  prefix(at: number): string[] {
    return ['nsenter', `--net=/run/netns/${this.#member(at)}`];
  }

  /** Blocks packets from one member to another, on existing and new connections. */
  block(from: number, to: number, block: Block = 'blackhole'): void {
    this.#rules.push({ from, to, block });
    this.#rule('add', { from, to, block });
  }

  /** Blocks everything between a member and the others, in both directions. */
  isolate(member: number, block: Block = 'blackhole'): void {
    for (let other = 0; other < this.#members; other += 1) {
      if (other === member) continue;
      this.block(member, other, block);
      this.block(other, member, block);
    }
  }

  /** Removes all blocks. */
  heal(): void {
    for (const rule of this.#rules) this.#rule('del', rule);
    this.#rules = [];
  }

  remove(): void {
    // Deleting a namespace removes its interfaces later, in the background. Another network may take this id before that,
    // so the one interface outside of the namespaces is removed first.
    run('ip', 'link', 'del', this.#uplink);
    for (let at = 0; at < this.#members; at += 1) run('ip', 'netns', 'del', this.#member(at));
    run('ip', 'netns', 'del', this.#router);
    built.delete(this);
  }

  get #router(): string {
    return `keystead${this.#id}r`;
  }

  /** The interface by which this process reaches the router. */
  get #uplink(): string {
    return `ks${this.#id}h`;
  }

  #member(at: number): string {
    return `keystead${this.#id}m${at}`;
  }

  #build(): void {
    const router = this.#router;
    const inRouter = (...args: string[]): void => run('ip', 'netns', 'exec', router, ...args);
    const subnet = `10.77.${this.#id}`;
    run('ip', 'netns', 'add', router);
    inRouter('sysctl', '-qw', 'net.ipv4.ip_forward=1');
    const [here, there] = [this.#uplink, `ks${this.#id}r`];
    run('ip', 'link', 'add', here, 'type', 'veth', 'peer', 'name', there, 'netns', router);
    run('ip', 'addr', 'add', `${subnet}.253/30`, 'dev', here);
    run('ip', 'link', 'set', here, 'up');
    inRouter('ip', 'addr', 'add', `${subnet}.254/30`, 'dev', there);
    inRouter('ip', 'link', 'set', there, 'up');
    run('ip', 'route', 'add', `${subnet}.0/24`, 'via', `${subnet}.254`);
    for (let at = 0; at < this.#members; at += 1) {
      const member = this.#member(at);
      const inMember = (...args: string[]): void => run('ip', 'netns', 'exec', member, ...args);
      run('ip', 'netns', 'add', member);
      inRouter('ip', 'link', 'add', `to${at}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', member);
      inRouter('ip', 'addr', 'add', `${subnet}.${at * 4 + 1}/30`, 'dev', `to${at}`);
      inRouter('ip', 'link', 'set', `to${at}`, 'up');
      inMember('ip', 'addr', 'add', `${this.host(at)}/30`, 'dev', 'eth0');
      inMember('ip', 'link', 'set', 'eth0', 'up');
      inMember('ip', 'link', 'set', 'lo', 'up');
      inMember('ip', 'route', 'add', 'default', 'via', `${subnet}.${at * 4 + 1}`);
    }
  }

  #rule(verb: 'add' | 'del', { from, to, block }: Rule): void {
    const match = ['from', this.host(from), 'to', this.host(to), block];
    run('ip', 'netns', 'exec', this.#router, 'ip', 'rule', verb, ...match);
  }
}

/** Returns a number that no other test network uses. */
function freeId(): number {
  const taken = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' });
  for (let id = process.pid % 200; ; id = (id + 1) % 250) if (!taken.includes(`keystead${id}r`)) return id;
}

/** The reason why such a network is impossible here, or undefined. */
export function missingForNetworks(): string | undefined {
  try {
    new TestNetwork(1).remove();
    return undefined;
  } catch {
    return 'skipped: test networks need root and network namespaces (ip netns)';
  }
}

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
