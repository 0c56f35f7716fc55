import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';

/**
 * Returns the IPv4 address of the interface with the default route. Other hosts reach this machine at it. It is read
 * from the kernel's route table, so it works on Linux only.
 *
 * @returns undefined when there is no default route
 */
export function defaultHost(): string | undefined {
  let table: string;
  try {
    table = readFileSync('/proc/net/route', 'utf8');
  } catch {
    return undefined;
  }
  const route = table
    .split('\n')
    .map((line) => line.split('\t'))
    .find(([, destination]) => destination === '00000000');
  const addresses = networkInterfaces()[route?.[0] ?? ''] ?? [];
  return addresses.find((address) => address.family === 'IPv4' && !address.internal)?.address;
}
