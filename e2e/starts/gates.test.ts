import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { expect, it } from 'vitest';
import { Member } from '../harness/member.ts';
import { freePort } from '../harness/ports.ts';
import { eventually } from '../harness/wait.ts';

const address = Object.values(networkInterfaces())
  .flat()
  .find((each) => each !== undefined && !each.internal && each.family === 'IPv4')?.address;

/** Whether there is a connection from this address to that port, as Linux lists them. */
function isConnectedFrom(from: string, port: number): boolean {
  const bytes = from.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
  const local = bytes.reverse().join('').toUpperCase();
  const remote = `:${port.toString(16).padStart(4, '0').toUpperCase()}`;
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .some(([, from = '', to = '']) => from.startsWith(`${local}:`) && to.endsWith(remote));
}

it.skipIf(address === undefined || process.platform !== 'linux')(
  'members connect from the address that SetMemberLocalAddr gives, and elect at once when they are connected',
  async () => {
    const host = address ?? '';
    const peers = [await freePort(), await freePort(), await freePort()];
    const initial = peers.map((port, at) => `m${at}=http://127.0.0.1:${port},m${at}=http://${host}:${port}`);
    const members = await Promise.all(
      peers.map((peerPort, at) =>
        Member.start({
          kind: 'keystead',
          name: `m${at}`,
          peerPort,
          readyTimeoutMs: 60_000,
          flags: [
            '--feature-gates=SetMemberLocalAddr=true',
            `--listen-peer-urls=http://0.0.0.0:${peerPort}`,
            `--initial-advertise-peer-urls=http://127.0.0.1:${peerPort},http://${host}:${peerPort}`,
            `--initial-cluster=${initial.join(',')}`,
            ...(at === 0 ? ['--initial-election-tick-advance=false'] : []),
          ],
        }),
      ),
    );
    try {
      await eventually('connections from the address', () =>
        peers.every((port) => isConnectedFrom(host, port)),
      );
      const said = members.map(({ program }) => program.lines.join('\n'));
      expect(said[0]).toContain('skipping initial election tick advance');
      expect(said[0]).toContain('"msg":"setting member local address"');
      expect(said.slice(1).join('\n')).toContain('starting an election');
    } finally {
      await Promise.all(members.map((member) => member.destroy()));
    }
  },
);
