/*
 * Takes the screenshots of the status page in docs/status-page.md from a real cluster:
 *
 *   npm run docs:screenshots
 *
 * It needs Chromium.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions } from 'playwright-core';
import { repositoryRoot } from '../harness/paths.ts';
import { tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';
import { missingChromium, startChromium } from './chromium.ts';
import { PageCluster } from './page-cluster.ts';
import { smallPng } from './small-png.ts';

const folder = process.argv[2] ?? join(repositoryRoot, 'docs');
const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 360, height: 740 };
/** The upper part of the page, which is long there. */
const PHONE_SHOWN = 1180;
/** The page shows rates from its second report on. */
const TWO_REPORTS_MS = 11_000;

const resources: readonly (readonly [path: string, count: number, bytes: number])[] = [
  ['pods/default/web', 240, 6_000],
  ['events/default/web', 400, 1_200],
  ['leases/kube-node-lease/node', 40, 700],
  ['configmaps/default/settings', 30, 9_000],
  ['secrets/default/tls', 25, 4_000],
  ['minions/node', 12, 12_000],
  ['apps.example.com/widgets/default/w', 60, 900],
];

async function fill(cluster: PageCluster): Promise<void> {
  const leader = await cluster.leader();
  for (const [path, count, bytes] of resources)
    for (let at = 0; at < count; at += 1)
      await cluster.put(leader, `/registry/${path}-${at}`, Buffer.alloc(bytes, 'v'));
  for (let round = 0; round < 5; round += 1) await cluster.list(leader, '/registry/pods/');
}

async function shoot(
  browser: Browser,
  url: string,
  name: string,
  options: BrowserContextOptions,
): Promise<void> {
  const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  await page.goto(url);
  await page.waitForTimeout(TWO_REPORTS_MS);
  const path = join(folder, `status-page-${name}.png`);
  const clip = options.viewport === PHONE ? { x: 0, y: 0, ...PHONE, height: PHONE_SHOWN } : undefined;
  const picture = await page.screenshot({ fullPage: true, ...(clip && { clip }) });
  writeFileSync(path, smallPng(picture));
  process.stdout.write(`${path}\n`);
  await context.close();
}

const missing = missingChromium();
if (missing !== undefined) throw new Error(missing);
const cluster = await PageCluster.start([
  '--keystead-usage-prefixes=/registry/*',
  `--keystead-backup-url=${tempDir('backups')}`,
  '--keystead-backup-interval=1h',
]);
const browser = await startChromium();
try {
  await fill(cluster);
  const leader = await cluster.leader();
  await eventually(
    'a proven backup',
    async () => ((await cluster.report(leader)).backup?.lastVerifiedMs ?? 0) > 0,
    { timeoutMs: 60_000 },
  );
  let writes = 0;
  let isWriting = true;
  const writing = (async () => {
    for (; isWriting; writes += 1) {
      await cluster.put(leader, `/registry/leases/kube-node-lease/node-${writes % 40}`, 'v'.repeat(700));
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
  })();
  const url = cluster.url(leader);
  await shoot(browser, url, 'light', { viewport: DESKTOP, colorScheme: 'light' });
  await shoot(browser, url, 'dark', { viewport: DESKTOP, colorScheme: 'dark' });
  const down = await cluster.follower();
  await down.kill();
  await shoot(browser, url, 'phone', { viewport: PHONE, colorScheme: 'light', deviceScaleFactor: 1 });
  await shoot(browser, url, 'down', { viewport: DESKTOP, colorScheme: 'light' });
  isWriting = false;
  await writing;
} finally {
  await browser.close();
  await cluster.destroy();
}
