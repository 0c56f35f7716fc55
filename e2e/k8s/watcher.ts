import { Watch, type KubeConfig, type KubernetesObject } from '@kubernetes/client-node';
import { eventually } from '../harness/wait.ts';

export interface Seen {
  type: string;
  object: KubernetesObject & {
    metadata: { name?: string; resourceVersion?: string; annotations?: Record<string, string> };
  };
}

/** A watch of the Kubernetes API that records all events. */
export class Watcher {
  readonly events: Seen[] = [];
  ended = false;
  error: unknown;
  #controller: AbortController | undefined;
  #stopped = false;

  /** A watch that is resumed when it ends, like that of an informer: kube-apiserver ends watches that are too slow. */
  static async resuming(kubeConfig: KubeConfig, path: string): Promise<Watcher> {
    const watcher = new Watcher();
    const begin = async (): Promise<void> => {
      const resourceVersion = watcher.events.at(-1)?.object.metadata.resourceVersion;
      watcher.#controller = await new Watch(kubeConfig).watch(
        path,
        resourceVersion === undefined ? {} : { resourceVersion },
        (type, object) => watcher.events.push({ type, object: object as Seen['object'] }),
        () => {
          if (!watcher.#stopped) void begin();
        },
      );
    };
    await begin();
    return watcher;
  }

  /** Starts a watch; parameters are those of the API, as resourceVersion or allowWatchBookmarks. */
  static async start(
    kubeConfig: KubeConfig,
    path: string,
    parameters: Record<string, string | number | boolean> = {},
  ): Promise<Watcher> {
    const watcher = new Watcher();
    watcher.#controller = await new Watch(kubeConfig).watch(
      path,
      parameters,
      (type, object) => watcher.events.push({ type, object: object as Seen['object'] }),
      (error) => {
        watcher.ended = true;
        watcher.error = error;
      },
    );
    return watcher;
  }

  /** What was seen, in order, as "TYPE name"; bookmarks left out. */
  get story(): string[] {
    return this.events
      .filter(({ type }) => type !== 'BOOKMARK')
      .map(({ type, object }) => `${type} ${object.metadata.name ?? ''}`);
  }

  async until(what: string, condition: (watcher: Watcher) => boolean, timeoutMs = 20_000): Promise<void> {
    await eventually(`${what}; seen: ${this.story.slice(-20).join(', ')}`, () => condition(this), {
      timeoutMs,
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#controller?.abort();
  }
}
