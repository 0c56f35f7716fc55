import { assert } from '../lib/assert.ts';
import { MethodStats } from './method-stats.ts';
import type { StreamHandler } from './stream-call.ts';
import type { UnaryHandler } from './unary-call.ts';

/** What the router needs of a method in `src/wire/services.ts`. */
export interface MethodDescriptor {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly clientStreaming: boolean;
  readonly serverStreaming: boolean;
}

export interface Route {
  readonly stats: MethodStats;
  readonly clientStreaming: boolean;
  readonly unary: UnaryHandler | undefined;
  readonly stream: StreamHandler | undefined;
}

/** Methods by path, with grpc-go's texts for unknown paths. */
export class Router {
  readonly #routes = new Map<string, Route>();
  readonly #services = new Set<string>();

  add(method: MethodDescriptor, handler: { unary: UnaryHandler } | { stream: StreamHandler }): void {
    const { path, clientStreaming, serverStreaming } = method;
    assert(!this.#routes.has(path), 'a method is registered once');
    const isUnary = !clientStreaming && !serverStreaming;
    assert(isUnary === 'unary' in handler, 'a method is registered with the handler of its kind');
    const slash = path.lastIndexOf('/');
    const service = path.slice(1, slash);
    const stats = new MethodStats(service, path.slice(slash + 1), {
      client: clientStreaming,
      server: serverStreaming,
    });
    this.#services.add(service);
    this.#routes.set(path, {
      stats,
      clientStreaming,
      unary: 'unary' in handler ? handler.unary : undefined,
      stream: 'stream' in handler ? handler.stream : undefined,
    });
  }

  find(path: string): Route | undefined {
    return this.#routes.get(path);
  }

  /** Why `find` found nothing. */
  explain(path: string): string {
    const name = path.slice(1);
    const slash = name.lastIndexOf('/');
    if (!path.startsWith('/') || slash < 0) return `malformed method name: ${JSON.stringify(path)}`;
    const service = name.slice(0, slash);
    if (!this.#services.has(service)) return `unknown service ${service}`;
    return `unknown method ${name.slice(slash + 1)} for service ${service}`;
  }

  /** All methods, in the order of `stats`. */
  methods(): MethodDescriptor[] {
    return [...this.#routes].map(([path, { clientStreaming, stats }]) => ({
      path,
      clientStreaming,
      serverStreaming: stats.type === 'server_stream' || stats.type === 'bidi_stream',
    }));
  }

  stats(): MethodStats[] {
    return [...this.#routes.values()].map((route) => route.stats);
  }
}
