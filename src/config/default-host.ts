import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';

/**
 * This machine's address as others see it: that of the interface the default route leaves by. Linux only, read
 * from the kernel's route table.
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
