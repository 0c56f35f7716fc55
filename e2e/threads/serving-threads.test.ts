import { afterEach, describe, expect, it } from 'vitest';
import { PutRequest, RangeRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { runCommand } from '../harness/command.ts';
import { Member, serverUnderTest } from '../harness/member.ts';
import { metricsOf } from '../harness/metrics.ts';
import { keysteadBundle } from '../harness/paths.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { eventually } from '../harness/wait.ts';
import { hasReusePort } from '../../src/config/unsupported-flags.ts';
import { PlantedFault } from './planted-fault.ts';
import { threadsUnderTest } from './thread-count.ts';

/** Further tests of serving threads are all other suites with KEYSTEAD_E2E_SERVING_THREADS; see docs/testing.md. */
describe.skipIf(serverUnderTest === 'etcd')('a member with serving threads', () => {
  const cleanups: (() => Promise<void> | void)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  async function start(env: NodeJS.ProcessEnv = {}): Promise<Member> {
    const member = await Member.start({
      kind: 'keystead',
      flags: [`--keystead-serving-threads=${threadsUnderTest}`],
      env,
    });
    cleanups.push(() => member.destroy());
    return member;
  }

  function clientOf(member: Member): RpcClient {
    const client = new RpcClient(member.endpoint);
    cleanups.push(() => client.close());
    return client;
  }

  const put = PutRequest.create({ key: Buffer.from('key'), value: Buffer.alloc(1_000_000, 'v') });

  it('serves gRPC, JSON and metrics, and counts the calls', async () => {
    const member = await start();
    const client = clientOf(member);
    expect(await client.unary(KV.methods.put, put)).toHaveProperty('messages');
    const range = RangeRequest.create({ key: Buffer.from('key') });
    expect(await client.unary(KV.methods.range, range)).toHaveProperty('messages');
    const json = await fetch(`${member.clientUrl}/v3/kv/range`, {
      method: 'POST',
      body: JSON.stringify({ key: Buffer.from('key').toString('base64'), count_only: true }),
    });
    expect(await json.json()).toMatchObject({ count: '1' });
    const metrics = await metricsOf(member);
    expect(metrics).toMatch(/grpc_server_handled_total\{grpc_code="OK",grpc_method="Put"[^}]*\} 1\n/);
    expect(metrics).toMatch(/grpc_server_handled_total\{grpc_code="OK",grpc_method="Range"[^}]*\} 2\n/);
  });

  it('counts calls that end before they reach the core', async () => {
    const member = await start();
    const tooLarge = PutRequest.create({ key: Buffer.from('key'), value: Buffer.alloc(4_000_000) });
    expect(await clientOf(member).unary(KV.methods.put, tooLarge)).toMatchObject({ code: 8 });
    const counted = /grpc_server_handled_total\{grpc_code="ResourceExhausted",grpc_method="Put"[^}]*\} 1\n/;
    await eventually('the refused call in the metrics', async () => counted.test(await metricsOf(member)));
  });

  it('ends with a message when a thread fails, and loses nothing', async () => {
    const fault = new PlantedFault('serving');
    cleanups.push(() => fault.remove());
    const member = await start(fault.env);
    expect(await clientOf(member).unary(KV.methods.put, put)).toHaveProperty('messages');
    await fault.restartAfter(member, 'a serving thread has ended');
    const range = RangeRequest.create({ key: Buffer.from('key') });
    expect(await clientOf(member).unary(KV.methods.range, range)).toMatchObject({
      messages: [{ count: 1 }],
    });
  });

  it.skipIf(hasReusePort(process.versions.node))(
    'more than one thread is refused, because this Node.js cannot share a port',
    async () => {
      const args = [keysteadBundle(), '--keystead-serving-threads=2'];
      const { code, stderr } = await runCommand(process.execPath, args);
      expect(code).toBe(1);
      expect(stderr).toContain('--keystead-serving-threads above 1 needs Node.js 22.12 or later');
    },
  );
});
