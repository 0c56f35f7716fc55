import { assert } from '../lib/assert.ts';
import type { SeededRandom } from '../lib/seeded-random.ts';
import type {
  OutgoingSnapshot,
  PeerCounts,
  PeerTransport,
  PeerTransportHandler,
} from '../ports/peer-transport.ts';
import { type Message, MessageType } from '../wire/gen/raftpb.ts';
import { Reconnection } from '../peer/reconnection.ts';
import { type Life, schedulerOf, type SimTime } from './time.ts';

/** Present network conditions; probabilities from 0 to 1. */
export interface NetworkConditions {
  loss: number;
  duplication: number;
  /** Probability that a message is overtaken by later ones. */
  reordering: number;
  /** Maximum delay of a message in milliseconds. */
  delayMs: number;
}

export const goodConditions: Readonly<NetworkConditions> = {
  loss: 0,
  duplication: 0,
  reordering: 0,
  delayMs: 2,
};

/** The network as seen by one member. */
export interface NetworkEnd {
  readonly handler: PeerTransportHandler;
  readonly transport: SimTransport;
}

interface Station extends NetworkEnd {
  readonly life: Life;
  readonly sinceMs: number;
}

/** Filters messages before they are sent; only returned ones are sent. Planted bugs forge responses here. */
export type Interceptor = (message: Message, answer: (forged: Message) => void) => Message | undefined;

/** A snapshot is transferred as a whole or not at all. */
const WHOLE = { id: undefined, offset: 0 };
const SNAPSHOT_MS = { least: 5, most: 150 } as const;
const REFUSED_MS = 20;
const OVERTAKEN_MS = 40;
/** As in real members: pause between two connection attempts, and time without response until a member counts as gone. */
const REDIAL_MS = 100;
const SILENCE_MS = 500;

/** The network between the members, with delays, losses and partitions. */
export class SimNetwork {
  conditions: NetworkConditions = { ...goodConditions };
  intercept: Interceptor | undefined;
  readonly #time: SimTime;
  readonly #random: SeededRandom;
  readonly #stations = new Map<bigint, Station>();
  /** Blocked directions as `from>to`. */
  readonly #cuts = new Set<string>();
  /** Arrival time of the last message of each direction; later ones arrive after it. */
  readonly #arrivals = new Map<string, number>();

  constructor(time: SimTime, random: SeededRandom) {
    this.#time = time;
    this.#random = random;
  }

  cut(from: bigint, to: bigint): void {
    this.#cuts.add(`${from}>${to}`);
  }

  heal(): void {
    this.#cuts.clear();
    this.conditions = { ...goodConditions };
  }

  isCut(from: bigint, to: bigint): boolean {
    return this.#cuts.has(`${from}>${to}`);
  }

  /** A member's end of the network, through which it sends. */
  transport(id: bigint, life: Life, handler: PeerTransportHandler): SimTransport {
    const scheduler = schedulerOf(this.#time, life);
    return new SimTransport(
      this,
      id,
      (there) =>
        new Reconnection({
          silenceMs: SILENCE_MS,
          after: (delayMs, task) => scheduler.after(delayMs, task),
          gone: () => handler.onPeerGone(there),
        }),
    );
  }

  /** The member listens from now on. */
  attach(id: bigint, life: Life, { handler, transport }: NetworkEnd): void {
    this.#stations.set(id, { life, handler, sinceMs: this.#time.now(), transport });
  }

  /** Sends something else than a raft message. It can be lost as well. */
  travel(from: bigint, to: bigint, arrive: () => void): void {
    if (this.isCut(from, to) || this.#random.chance(this.conditions.loss)) return;
    this.#time.after(0.2 + this.#random.next() * this.conditions.delayMs, () => {
      if (!this.isCut(from, to)) arrive();
    });
  }

  /** Called when a process has ended. Its reachable peers see their connections close. */
  detach(id: bigint): void {
    this.#stations.delete(id);
    for (const other of this.#stations.keys()) if (!this.isCut(id, other)) this.#seeClosed(other, id);
  }

  /** Closes all connections of a member. New ones are possible. */
  closeConnections(id: bigint): void {
    for (const other of this.#stations.keys()) {
      if (other === id || this.isCut(id, other) || this.isCut(other, id)) continue;
      this.#seeClosed(other, id);
      this.#seeClosed(id, other);
    }
  }

  #seeClosed(here: bigint, there: bigint): void {
    const station = this.#stations.get(here);
    if (station === undefined) return;
    const { life, transport } = station;
    // Arrives after everything that was sent before.
    const arrival = this.#arrivals.get(`${there}>${here}`) ?? 0;
    this.#time.after(1 + this.#random.int(5) + Math.max(0, arrival - this.#time.now()), () => {
      if (life.isOver) return;
      const connection = transport.connection(there);
      connection.closed();
      this.#dial(station, { here, there, connection });
    });
  }

  /** Retries until the other side answers. */
  #dial(station: Station, way: { here: bigint; there: bigint; connection: Reconnection }): void {
    const { here, there, connection } = way;
    this.#time.after(2 * this.#travelMs(), () => {
      if (station.life.isOver || !station.transport.knows(there)) return;
      const isSilent = this.isCut(here, there) || this.isCut(there, here);
      if (!isSilent && this.#stations.has(there)) {
        connection.answered();
        return;
      }
      if (!isSilent) connection.refused();
      this.#time.after(REDIAL_MS, () => this.#dial(station, way));
    });
  }

  #travelMs(): number {
    return 0.2 + this.#random.next() * this.conditions.delayMs;
  }

  /** Time since when both members can reach each other. */
  activeSince(from: bigint, to: bigint): number | undefined {
    const [here, there] = [this.#stations.get(from), this.#stations.get(to)];
    if (here === undefined || there === undefined) return undefined;
    if (this.isCut(from, to) || this.isCut(to, from)) return undefined;
    return Math.max(here.sinceMs, there.sinceMs);
  }

  send(message: Message): void {
    const { intercept } = this;
    const travelling =
      intercept === undefined ? message : intercept(message, (forged) => this.#carry(forged));
    if (travelling === undefined) return;
    const { loss, duplication } = this.conditions;
    if (this.#random.chance(loss)) return;
    this.#carry(travelling);
    // A forwarded proposal is sent on a stream, so it is delivered at most once.
    const isRepeatable = travelling.type !== MessageType.MsgProp;
    if (isRepeatable && this.#random.chance(duplication)) this.#carry(travelling);
  }

  sendSnapshot(message: Message, snapshot: OutgoingSnapshot): void {
    const { from, to } = message;
    const sender = this.#stations.get(from);
    const report = (ok: boolean): void => {
      if (sender !== undefined && !sender.life.isOver) sender.handler.reportSnapshot(to, ok);
    };
    this.#time.after(this.#random.between(SNAPSHOT_MS.least, SNAPSHOT_MS.most), () => {
      const receiver = this.#stations.get(to);
      if (receiver === undefined || this.isCut(from, to) || this.#random.chance(this.conditions.loss)) {
        this.#time.after(REFUSED_MS, () => report(false));
        return;
      }
      receiver.transport.addRemote(from);
      receiver.handler.onSnapshot({ ...message }, snapshot.chunks, WHOLE).then(
        () => report(true),
        () => this.#time.after(REFUSED_MS, () => report(false)),
      );
    });
  }

  #carry(message: Message): void {
    const { from, to } = message;
    if (this.isCut(from, to)) return;
    const way = `${from}>${to}`;
    const now = this.#time.now();
    const isOvertaken = this.#random.chance(this.conditions.reordering);
    const travelMs = this.#travelMs();
    const arrival = isOvertaken
      ? now + travelMs + this.#random.next() * OVERTAKEN_MS
      : Math.max(now + travelMs, this.#arrivals.get(way) ?? 0);
    if (!isOvertaken) this.#arrivals.set(way, arrival);
    this.#time.after(arrival - now, () => {
      const station = this.#stations.get(to);
      if (station === undefined || this.isCut(from, to)) {
        this.#unreachable(from, to);
        return;
      }
      if (station.handler.isIdRemoved(from)) this.#refuseRemoved(from, to);
      else {
        // Connections of real members name the sender and its addresses.
        station.transport.addRemote(from);
        const refusal = station.handler.onMessages([{ ...message, entries: [...message.entries] }]);
        assert(refusal === undefined, `a message of a correct member is taken, not refused: ${refusal}`);
      }
    });
  }

  /** A member that missed its removal learns about it when it connects to another one. */
  #refuseRemoved(removed: bigint, by: bigint): void {
    const station = this.#stations.get(removed);
    this.#time.after(this.#travelMs(), () => {
      if (station !== undefined && !station.life.isOver && !this.isCut(by, removed))
        station.handler.onRemoved();
    });
  }

  #unreachable(from: bigint, to: bigint): void {
    const sender = this.#stations.get(from);
    this.#time.after(1, () => {
      if (sender !== undefined && !sender.life.isOver) sender.handler.reportUnreachable(to);
    });
  }
}

/** One member's end of the network. */
export class SimTransport implements PeerTransport {
  readonly #network: SimNetwork;
  readonly #id: bigint;
  readonly #known = new Set<bigint>();
  readonly #connections = new Map<bigint, Reconnection>();
  readonly #connect: (id: bigint) => Reconnection;
  #stopped = false;

  constructor(network: SimNetwork, id: bigint, connect: (id: bigint) => Reconnection) {
    this.#network = network;
    this.#id = id;
    this.#connect = connect;
  }

  knows(id: bigint): boolean {
    return this.#known.has(id);
  }

  connection(id: bigint): Reconnection {
    let connection = this.#connections.get(id);
    if (connection === undefined) this.#connections.set(id, (connection = this.#connect(id)));
    return connection;
  }

  /** Average round-trip time. */
  roundTripMs(id: bigint): number | undefined {
    return this.activeSince(id) === undefined ? undefined : this.#network.conditions.delayMs;
  }

  addPeer(id: bigint): void {
    this.#known.add(id);
  }

  addRemote(id: bigint): void {
    this.#known.add(id);
  }

  updatePeer(): void {
    // The simulation finds members by id, not by URL.
  }

  removePeer(id: bigint): void {
    this.#known.delete(id);
  }

  removeAllPeers(): void {
    this.#known.clear();
  }

  send(messages: readonly Message[]): void {
    if (this.#stopped) return;
    for (const message of messages) if (this.#known.has(message.to)) this.#network.send(message);
  }

  sendSnapshot(message: Message, snapshot: OutgoingSnapshot): void {
    if (!this.#stopped) this.#network.sendSnapshot(message, snapshot);
  }

  activeSince(id: bigint): number | undefined {
    return this.#known.has(id) ? this.#network.activeSince(this.#id, id) : undefined;
  }

  activePeers(): number {
    let count = 0;
    for (const id of this.#known) if (this.activeSince(id) !== undefined) count += 1;
    return count;
  }

  counts(): Iterable<PeerCounts> {
    return [];
  }

  stop(): void {
    this.#stopped = true;
  }
}
