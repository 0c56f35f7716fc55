import { readFileSync } from 'node:fs';
import { credentials } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { PutRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { Certificates } from '../harness/certificates.ts';
import { Member, type MemberKind } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import { RpcClient } from '../harness/rpc-client.ts';

const kinds: MemberKind[] = missingPeers('etcd') === undefined ? ['etcd', 'keystead'] : ['keystead'];

describe('http and https on one client address', () => {
  it.each(kinds)('are both served by %s', async (kind) => {
    const files = new Certificates('http-and-https');
    files.issue('server', { hosts: ['localhost', '127.0.0.1'] });
    files.issue('client', { commonName: 'client', usage: 'client' });
    const clientPort = await freePort();
    const member = await Member.start({
      kind,
      clientPort,
      flags: [
        `--listen-client-urls=http://127.0.0.1:${clientPort},https://127.0.0.1:${clientPort}`,
        ...[`--cert-file=${files.path('server.crt')}`, `--key-file=${files.path('server.key')}`],
        ...[`--trusted-ca-file=${files.path('ca.crt')}`, '--client-cert-auth'],
      ],
    });
    try {
      const file = (name: string): Buffer => readFileSync(files.path(name));
      const put = PutRequest.create({ key: Buffer.from('key'), value: Buffer.from('value') });
      const securities = [
        credentials.createInsecure(),
        credentials.createSsl(file('ca.crt'), file('client.key'), file('client.crt')),
      ];
      for (const security of securities) {
        const client = new RpcClient(member.endpoint, { security });
        expect(await client.unary(KV.methods.put, put)).toHaveProperty('messages');
        client.close();
      }
      const anonymous = new RpcClient(member.endpoint, {
        security: credentials.createSsl(file('ca.crt')),
        timeoutMs: 1_000,
      });
      expect(await anonymous.unary(KV.methods.put, put)).not.toHaveProperty('messages');
      anonymous.close();
    } finally {
      await member.destroy();
    }
  });
});
