import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import { tempDir } from '../harness/temp-dir.ts';
import { BackupCommand, listBackups } from './backup-command.ts';
import { S3Server } from './s3-server.ts';

const missing = missingPeers('etcdctl', 'versitygw');

describe.skipIf(missing !== undefined)(`backups in S3 ${missing ?? ''}`, () => {
  const folder = tempDir('backups');
  let member: Member;
  let s3: S3Server;

  beforeAll(async () => {
    s3 = await S3Server.start();
    member = await Member.start({ kind: 'keystead', flags: ['--max-request-bytes=20000000'] });
  });

  afterAll(async () => {
    await member.destroy();
    await s3.destroy();
    rmSync(folder, { recursive: true });
  });

  const put = (key: string, value: string): Promise<string> =>
    new Etcdctl(member.endpoint).ok(['put', key], { input: value });

  it.each([false, true])(
    'are stored in parts, verified, restored and pruned (encrypted: %s)',
    async (isEncrypted) => {
      const keyFile = join(folder, 'key');
      writeFileSync(keyFile, randomBytes(32));
      const place = new BackupCommand(
        [
          `--url=s3://${s3.bucket}/a/b-${String(isEncrypted)}`,
          ...(isEncrypted ? [`--key-file=${keyFile}`] : []),
        ],
        s3.environment,
      );
      for (let n = 0; n < 12; n += 1) await put(`large/${n}`, randomBytes(500_000).toString('hex'));
      for (let n = 1; n <= 3; n += 1) await place.ok('run', `--endpoints=${member.endpoint}`);
      const listed = await listBackups(place);
      expect(listed.map(({ state }) => state)).toEqual(['verified', 'verified', 'verified']);
      const [damaged, gone, good] = listed.map(({ object }) =>
        s3.fileOf(`a/b-${String(isEncrypted)}/${object}`),
      );
      expect(statSync(good ?? '').size).toBeGreaterThan(12_000_000);

      const bytes = readFileSync(damaged ?? '');
      bytes[7_000_000] = (bytes[7_000_000] ?? 0) ^ 1;
      writeFileSync(damaged ?? '', bytes);
      rmSync(gone ?? '');
      const { code, stdout } = await place.run('verify');
      expect(code).toBe(1);
      const [first, second, third] = stdout.trim().split('\n');
      expect(first).toContain(`${listed[0]?.id ?? ''}: FAULT: its object ${listed[0]?.object ?? ''}`);
      expect(second).toBe(`${listed[1]?.id ?? ''}: FAULT: its object ${listed[1]?.object ?? ''} is missing`);
      expect(third).toContain(`${listed[2]?.id ?? ''}: good`);
      await place.ok('prune', '--keep-last=1', '--keep-days=0');
      expect((await listBackups(place)).map(({ id }) => id)).toEqual([listed[2]?.id]);
      const dataDir = join(folder, `restored-${String(isEncrypted)}`);
      expect(await place.ok('restore', `--data-dir=${dataDir}`)).toContain(
        `restored backup ${listed[2]?.id ?? ''}`,
      );
    },
  );

  it('need the right credentials, from variables, a file or a web identity', async () => {
    const url = `--url=s3://${s3.bucket}/credentials?endpoint=${s3.endpoint}&region=us-east-1&style=path`;
    await put('small', 'value');
    const run = (env: Record<string, string>): ReturnType<BackupCommand['run']> =>
      new BackupCommand([url], { HOME: folder, ...env }).run('run', `--endpoints=${member.endpoint}`);
    const wrong = await run({ ...s3.environment, AWS_SECRET_ACCESS_KEY: 'wrong' });
    expect(wrong).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('SignatureDoesNotMatch') as string,
    });
    const none = await run({});
    expect(none).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('there are no credentials for S3') as string,
    });

    const file = join(folder, 'credentials');
    writeFileSync(
      file,
      `[default]\naws_access_key_id = wrong\naws_secret_access_key = wrong\n\n[backup]\naws_access_key_id=${s3.accessKey}\naws_secret_access_key = ${s3.secretKey}\n`,
    );
    expect(await run({ AWS_SHARED_CREDENTIALS_FILE: file, AWS_PROFILE: 'backup' })).toMatchObject({
      code: 0,
    });
    expect(await run({ AWS_SHARED_CREDENTIALS_FILE: file })).toMatchObject({ code: 1 });

    const token = join(folder, 'token');
    writeFileSync(token, 'the token\n');
    const requests: string[] = [];
    const sts = createServer((request, response) => {
      request.setEncoding('utf8').on('data', (body: string) => requests.push(body));
      request.on('end', () => {
        const end = new Date(Date.now() + 3_600_000).toISOString();
        response.end(
          `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><SessionToken></SessionToken><SecretAccessKey>${s3.secretKey}</SecretAccessKey><Expiration>${end}</Expiration><AccessKeyId>${s3.accessKey}</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
        );
      });
    });
    await new Promise<void>((resolve) => sts.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = sts.address() as AddressInfo;
      const identity = {
        AWS_WEB_IDENTITY_TOKEN_FILE: token,
        AWS_ROLE_ARN: 'arn:aws:iam::1:role/backup',
        AWS_ENDPOINT_URL_STS: `http://127.0.0.1:${port}`,
      };
      expect(await run(identity)).toMatchObject({ code: 0 });
      expect(requests).toHaveLength(1);
      expect(Object.fromEntries(new URLSearchParams(requests[0]))).toMatchObject({
        Action: 'AssumeRoleWithWebIdentity',
        RoleArn: identity.AWS_ROLE_ARN,
        WebIdentityToken: 'the token',
      });
    } finally {
      sts.close();
    }
  });

  it('fail with a message if the bucket or the server is missing', async () => {
    const list = (url: string, env = s3.environment): ReturnType<BackupCommand['run']> =>
      new BackupCommand([`--url=${url}`], env).run('list');
    const closed = `http://127.0.0.1:${await freePort()}`;
    expect(await list('s3://nothing-here/a')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('the bucket of s3://nothing-here/a does not exist') as string,
    });
    expect(await list('s3://backups/a', { ...s3.environment, AWS_ENDPOINT_URL_S3: closed })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('failed 5 times: connect ECONNREFUSED') as string,
    });
    for (const url of ['s3://', 's3://a?style=x', 's3://backups?wrong=1', 's3://backups?endpoint=host'])
      expect((await list(url)).code).toBe(2);
  });
});
