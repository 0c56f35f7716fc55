import { createServer } from 'node:net';

const handedOut = new Set<number>();

/** Returns a free TCP port of 127.0.0.1 that this process has not returned before. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = await portOfTheSystemsChoice();
    if (handedOut.has(port)) continue;
    handedOut.add(port);
    return port;
  }
}

function portOfTheSystemsChoice(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (address === null || typeof address === 'string')
        throw new Error('a TCP server has an address with a port');
      server.close(() => resolve(address.port));
    });
  });
}
