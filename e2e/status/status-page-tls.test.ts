import { request } from 'node:https';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority } from '../../src/tls/testing/authority.ts';
import { Certificates } from '../harness/certificates.ts';
import { Member, serverUnderTest } from '../harness/member.ts';
import { freePort } from '../harness/ports.ts';
import { missingChromium, startChromium } from './chromium.ts';

const missing = missingChromium();
const HOST = '127.0.0.1';

describe.skipIf(serverUnderTest === 'etcd')('the status page with client certificates', () => {
  const files = new Certificates('status-tls');
  let member: Member;
  let url: string;
  let metricsUrl: string;

  beforeAll(async () => {
    files.issue('server', { hosts: [HOST] });
    files.issue('client', { commonName: 'operator', usage: 'client' });
    files.issue('stranger', { commonName: 'operator', usage: 'client' }, new Authority('another authority'));
    const clientPort = await freePort();
    const [client, health] = [`https://${HOST}:${clientPort}`, `http://${HOST}:${await freePort()}`];
    url = `https://${HOST}:${await freePort()}`;
    metricsUrl = `https://${HOST}:${await freePort()}`;
    member = await Member.start({
      kind: 'keystead',
      clientPort,
      healthUrl: health,
      flags: [
        ...[`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
        ...[`--listen-metrics-urls=${health},${metricsUrl}`, `--keystead-status-urls=${url}`],
        ...[`--cert-file=${files.path('server.crt')}`, `--key-file=${files.path('server.key')}`],
        ...['--client-cert-auth', `--trusted-ca-file=${files.path('ca.crt')}`],
      ],
    });
  });
  afterAll(() => member.destroy());

  /** The status of the answer, or `refused`. */
  function ask(target: string, certificate?: string): Promise<number | 'refused'> {
    const read = (name: string): Buffer => readFileSync(files.path(name));
    const shown =
      certificate === undefined ? {} : { cert: read(`${certificate}.crt`), key: read(`${certificate}.key`) };
    return new Promise((resolve) => {
      const asked = request(target, { ca: read('ca.crt'), agent: false, ...shown }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      asked.on('error', () => resolve('refused')).end();
    });
  }

  it.each(['client', 'stranger', undefined])(
    'treats the certificate %s as the metrics do',
    async (certificate) => {
      const expected = certificate === 'client' ? 200 : 'refused';
      expect(await ask(`${metricsUrl}/metrics`, certificate)).toBe(expected);
      for (const path of ['/', '/status.json', '/page.js'])
        expect(await ask(url + path, certificate)).toBe(expected);
    },
  );

  it('answers 404 for anything else', async () => {
    expect(await ask(`${url}/metrics`, 'client')).toBe(404);
  });

  it.skipIf(missing !== undefined)(
    `opens in a browser with the certificate only ${missing ?? ''}`,
    async () => {
      const browser = await startChromium();
      try {
        const certificate = { certPath: files.path('client.crt'), keyPath: files.path('client.key') };
        const page = await browser.newPage({
          ignoreHTTPSErrors: true,
          clientCertificates: [{ origin: url, ...certificate }],
        });
        await page.goto(url);
        await page.locator('#members tbody tr').first().waitFor();
        expect(await page.locator('#members tbody').innerText()).toContain('This member');
        const other = await browser.newPage({ ignoreHTTPSErrors: true });
        await expect(other.goto(url)).rejects.toThrow(/ERR_/);
      } finally {
        await browser.close();
      }
    },
  );
});
