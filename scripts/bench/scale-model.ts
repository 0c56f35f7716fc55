/*
 * The model of docs/scale.md: rates, load of Kubernetes and size of the store, computed from measured costs. It does no
 * I/O. All times are microseconds of processor time, all rates are per second.
 */
import type { Cost, Costs, Measured, Operation, StoreRun } from './scale-costs.ts';
import type { System } from './servers.ts';

/** The share of a thread or a core that is planned for. Above it, waiting times grow quickly. */
export const PLANNED_SHARE = 0.6;

const SECOND_US = 1e6;

/** The rate that one kind of operation can reach without serving threads. */
export function rateAlone({ core, all }: Cost, cores: number): number {
  return Math.min(SECOND_US / core, (cores * SECOND_US) / all);
}

/**
 * Microseconds of serving threads per operation. What a server without serving threads does outside its main thread (log,
 * RocksDB, compiler) is taken to stay the same.
 */
export function servingUs(alone: Cost, serving: Cost): number {
  return Math.max(0, serving.all - serving.core - (alone.all - alone.core));
}

/** The rate with a number of serving threads: the first of core thread, serving threads and cores that is used up. */
export function rateWithThreads(alone: Cost, serving: Cost, cores: number, threads: number): number {
  const each = servingUs(alone, serving);
  return Math.min(
    SECOND_US / serving.core,
    each === 0 ? Infinity : (threads * SECOND_US) / each,
    (cores * SECOND_US) / serving.all,
  );
}

/** The number of serving threads with the highest rate, and that rate. Fewer threads are preferred. */
export function bestThreads(alone: Cost, serving: Cost, cores: number): { threads: number; rate: number } {
  let best = { threads: 1, rate: 0 };
  for (let threads = 1; threads <= Math.max(1, cores - 1); threads += 1) {
    const rate = rateWithThreads(alone, serving, cores, threads);
    if (rate > best.rate * 1.001) best = { threads, rate };
  }
  return best;
}

/** How many times the rate of one core a server makes on `cores`, if `serial` of its work cannot be divided (Amdahl). */
export function speedup(cores: number, serial: number): number {
  return 1 / (serial + (1 - serial) / cores);
}

/** The serial share that follows from the speed-up from one core to two. At least 0. */
export function serialShare(speedupOfTwo: number): number {
  return Math.max(0, 2 / speedupOfTwo - 1);
}

/**
 * The range of etcd's rate: the lower end has the serial share measured from one core to two, the upper end has none.
 * The rate of one core is what its processor time per operation allows.
 */
export function etcdRate(cost: Cost, cores: number, serial: number): { low: number; high: number } {
  const one = SECOND_US / cost.all;
  return { low: one * speedup(cores, serial), high: one * cores };
}

/** What a cluster does, per second. Each assumption has its source in docs/scale.md. */
export interface Cluster {
  readonly nodes: number;
  readonly podsPerNode: number;
  /** Mean life of a pod in seconds. */
  readonly podSeconds: number;
  readonly apiservers: number;
}

export const perNode = {
  /** The kubelet renews its Lease object every 10 s. */
  leaseUpdates: 1 / 10,
  /** Without a change the kubelet reports its status every 5 minutes. */
  statusUpdates: 1 / 300,
  /** Lists and gets that no cache answers, and the gets of consistent lists. */
  gets: 1 / 20,
};

export const perPod = {
  /** Create, bind, 4 status updates, mark as deleted, delete; 2 of EndpointSlices; 2 of ReplicaSet and Deployment. */
  writes: 12,
  /** Scheduled, Pulling, Pulled, Created, Started, Killing. */
  events: 6,
  /** The kubelet gets the pod before it patches the status; bound tokens and others. */
  gets: 6,
};

/** Controllers of the control plane that renew the Lease of their election every 2 s, and identities of apiservers. */
const CONTROL_PLANE_UPDATES = 5;

/** Objects of a node: its pods, ReplicaSets, secrets, config maps and slices, itself, its lease and its events of an hour. */
const OBJECTS_PER_POD = 3;

export interface ClusterLoad {
  readonly pods: number;
  readonly podsPerSecond: number;
  readonly updates: number;
  /** Events of pods are created, and deleted when their lease expires after an hour. */
  readonly puts: number;
  readonly gets: number;
  /** Watch events to all apiservers. Event objects are in no watch cache. */
  readonly watchEvents: number;
  readonly objects: number;
}

export function clusterLoad({ nodes, podsPerNode, podSeconds, apiservers }: Cluster): ClusterLoad {
  const pods = nodes * podsPerNode;
  const podsPerSecond = pods / podSeconds;
  const updates =
    nodes * (perNode.leaseUpdates + perNode.statusUpdates) +
    podsPerSecond * perPod.writes +
    CONTROL_PLANE_UPDATES;
  const events = podsPerSecond * perPod.events;
  return {
    pods,
    podsPerSecond,
    updates,
    puts: 2 * events,
    gets: nodes * perNode.gets + podsPerSecond * perPod.gets,
    watchEvents: updates * apiservers,
    objects: Math.round(pods * OBJECTS_PER_POD + 2 * nodes + Math.min(events * 3600, nodes * 100)),
  };
}

/** Cores that a load needs. With `of: 'core'` only the main thread counts, which has one core at most. */
export function coresUsed(load: ClusterLoad, costs: Costs, of: keyof Cost, factor = 1): number {
  const us =
    load.updates * costs.update[of] +
    load.puts * costs.put[of] +
    load.gets * costs.get[of] +
    load.watchEvents * costs.event[of];
  return (us * factor) / SECOND_US;
}

/** Seconds of processor time of the main thread for an apiserver that lists everything when it starts. */
export function relistSeconds(load: ClusterLoad, costs: Costs, of: keyof Cost): number {
  return ((load.objects / 500) * costs.page[of]) / SECOND_US;
}

/** The largest number of nodes whose load needs at most `share` of a core, found by halving. */
export function mostNodes(cluster: Cluster, share: number, used: (load: ClusterLoad) => number): number {
  let [low, high] = [0, 10_000_000];
  while (high - low > 1) {
    const nodes = Math.floor((low + high) / 2);
    if (used(clusterLoad({ ...cluster, nodes })) <= share) low = nodes;
    else high = nodes;
  }
  return low;
}

/** A line through two measured points, or through one of them and a fixed part. */
export interface Line {
  readonly fixed: number;
  readonly perMillion: number;
}

export function at({ fixed, perMillion }: Line, keys: number): number {
  return Math.max(0, fixed + (perMillion * keys) / 1e6);
}

export function lineThrough(small: StoreRun, large: StoreRun, figure: string): Line {
  const [first, second] = [figureOf(small, figure), figureOf(large, figure)];
  const perMillion = (second - first) / ((large.keys - small.keys) / 1e6);
  return { fixed: first - (perMillion * small.keys) / 1e6, perMillion };
}

/** The prediction from one run: `fixed` does not depend on the keys, the rest is proportional to them. */
export function lineFromOne(run: StoreRun, figure: string, fixed: number): Line {
  return { fixed, perMillion: (figureOf(run, figure) - fixed) / (run.keys / 1e6) };
}

export function figureOf(run: StoreRun, figure: string): number {
  const value = run.figures[figure];
  if (value === undefined) throw new Error(`the run of ${run.keys} keys has no ${figure}`);
  return value;
}

/** The run of a system with the given number of keys of 512 B. */
export function runOf({ runs }: Measured, system: System, keys: number): StoreRun | undefined {
  return runs.find((run) => run.system === system && run.keys === keys && run.valueSize === 512);
}

/** The measured speed-up of etcd from one core to two, by processor time: a core does not get busier by waiting. */
export function speedupOfTwo({ cores }: Measured, operation: 'put' | 'get'): number {
  const all = (count: number): number =>
    cores.find((run) => run.system === 'etcd' && run.cores === count && run.operation === operation)?.all ??
    NaN;
  return (2 * all(1)) / all(2);
}

export const operationNames: Readonly<Record<Operation, string>> = {
  put: 'put of 256 B',
  update: 'guarded update of 1 KB',
  get: 'linearizable get',
  page: 'list of 500 x 1 KB',
  event: 'event to one watcher',
  renewal: 'renewal of a lease',
};
