import { createSocket, type Socket } from 'node:dgram';
import type { AddressInfo } from 'node:net';

const HEADER_BYTES = 12;
const A = 1;
const SRV = 33;
const IN = 1;
const NO_SUCH_NAME = 3;

export interface SrvRecord {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  readonly target: string;
}

/** Names are in lower case and without the trailing dot. */
export interface Zone {
  readonly srv: Readonly<Record<string, readonly SrvRecord[]>>;
  /** IPv4 addresses. */
  readonly addresses: Readonly<Record<string, string>>;
}

/** A DNS server on UDP with one zone. All other names do not exist. */
export class DnsServer {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static listen(zone: Zone, { host, port }: { host: string; port: number }): Promise<DnsServer> {
    const socket = createSocket('udp4');
    socket.on('message', (question, from) => socket.send(answer(question, zone), from.port, from.address));
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(port, host, () => resolve(new DnsServer(socket)));
    });
  }

  get address(): AddressInfo {
    return this.#socket.address();
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }
}

function answer(question: Buffer, zone: Zone): Buffer {
  const { name, type, end } = readQuestion(question);
  const records = recordsOf(zone, name, type);
  const isKnown = name in zone.srv || name in zone.addresses;
  const header = Buffer.alloc(HEADER_BYTES);
  question.copy(header, 0, 0, 2);
  // Flags: response, authoritative, recursion available, recursion desired as in the query.
  header.writeUInt16BE(0x8480 | (question.readUInt16BE(2) & 0x0100) | (isKnown ? 0 : NO_SUCH_NAME), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  const answers = records.map((data) => {
    const head = Buffer.alloc(12);
    // A pointer to the name in the question.
    head.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
    head.writeUInt16BE(type, 2);
    head.writeUInt16BE(IN, 4);
    head.writeUInt32BE(60, 6);
    head.writeUInt16BE(data.length, 10);
    return Buffer.concat([head, data]);
  });
  return Buffer.concat([header, question.subarray(HEADER_BYTES, end), ...answers]);
}

function readQuestion(message: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = message.readUInt8(at); length > 0; length = message.readUInt8(at)) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), type: message.readUInt16BE(at + 1), end: at + 5 };
}

function recordsOf({ srv, addresses }: Zone, name: string, type: number): Buffer[] {
  if (type === SRV) return (srv[name] ?? []).map(srvData);
  const address = addresses[name];
  return type === A && address !== undefined ? [Buffer.from(address.split('.').map(Number))] : [];
}

function srvData({ priority, weight, port, target }: SrvRecord): Buffer {
  const head = Buffer.alloc(6);
  head.writeUInt16BE(priority, 0);
  head.writeUInt16BE(weight, 2);
  head.writeUInt16BE(port, 4);
  const labels = target.split('.').map((label) => Buffer.from(`\0${label}`));
  for (const label of labels) label.writeUInt8(label.length - 1, 0);
  return Buffer.concat([head, ...labels, Buffer.alloc(1)]);
}
