import axe from 'axe-core';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Member, serverUnderTest } from '../harness/member.ts';
import { eventually } from '../harness/wait.ts';
import { missingChromium, startChromium } from './chromium.ts';
import { PageCluster } from './page-cluster.ts';

const missing = missingChromium();
const PHONE = { width: 360, height: 740 };
/** Longer than the page takes to see a change: a refresh is due every five seconds. */
const SEEN_MS = 30_000;
const HOSTILE = '<img src=x onerror="document.title=\'broken\'"><script>document.title="broken"</script>';
const HOSTILE_PREFIX = '/hostile/<b onmouseover=alert(1)>\u202e/';

interface Opened {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What must not happen: requests elsewhere, blocked content, errors of scripts. */
  readonly faults: readonly string[];
}

describe.skipIf(missing !== undefined || serverUnderTest === 'etcd')(
  `the status page ${missing ?? ''}`,
  () => {
    let cluster: PageCluster;
    let browser: Browser;
    let first: Member;
    const contexts: BrowserContext[] = [];

    beforeAll(async () => {
      cluster = await PageCluster.start([`--keystead-usage-prefixes=/registry/*,${HOSTILE_PREFIX}`]);
      browser = await startChromium();
      first = await cluster.leader();
    });
    afterEach(async () => {
      for (const context of contexts.splice(0)) await context.close();
    });
    afterAll(async () => {
      await browser.close();
      await cluster.destroy();
    });

    async function open(member: Member, options: BrowserContextOptions = {}): Promise<Opened> {
      const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
      contexts.push(context);
      const page = await context.newPage();
      const faults: string[] = [];
      const origin = cluster.url(member);
      page.on('request', (request) => {
        if (new URL(request.url()).origin !== origin) faults.push(`request to ${request.url()}`);
      });
      page.on('pageerror', (error) => faults.push(`error ${error.message}`));
      page.on('console', (message) => {
        if (/Content Security Policy|Trusted/i.test(message.text())) faults.push(message.text());
      });
      await page.goto(`${origin}/`);
      await page.locator('#members tbody tr').nth(2).waitFor();
      return { page, context, faults };
    }

    /** The text of a member's cell by the name of its column. */
    async function memberCell(page: Page, name: string, column: string): Promise<string> {
      const row = page.locator('#members tbody tr', { has: page.locator('th bdi', { hasText: name }) });
      return (await row.locator(`[data-label="${column}"]`).innerText()).trim();
    }

    /** The headline without what this machine may cause: other work on it, and little space. */
    async function ownHeadline(page: Page): Promise<string> {
      const titles = ((await page.locator('#headline').textContent()) ?? '').split('. ');
      const own = titles.filter((title) => !/^The (event loop|disk) is /.test(title));
      return own.length === 0 ? 'All is well' : own.join('. ');
    }

    async function fact(page: Page, list: string, label: string): Promise<string> {
      const pair = page.locator(`#${list} > div`, { has: page.locator('dt', { hasText: label }) });
      return (await pair.first().locator('dd').innerText()).trim();
    }

    it('shows the members, the leader and the state of the cluster', async () => {
      const { page, faults } = await open(first);
      const { self, raft } = await cluster.report(first);
      expect(await page.title()).toMatch(/^(\(\d\) )?keystead\d – Keystead$/);
      await eventually('all is well', async () => (await ownHeadline(page)) === 'All is well', {
        timeoutMs: SEEN_MS,
      });
      for (const member of cluster.members) {
        expect(await memberCell(page, member.name, 'State')).toBe(
          member === first ? 'This member' : 'Connected',
        );
        expect(await memberCell(page, member.name, 'Role')).toBe(member === first ? 'Leader' : 'Follower');
        expect(await memberCell(page, member.name, 'Behind, entries')).toBe('0');
        expect(await memberCell(page, member.name, 'Version')).toBe(self.version);
        expect(await memberCell(page, member.name, 'Member')).toContain(member.clientUrl);
      }
      expect(await fact(page, 'summary', 'Leader')).toContain(
        `${first.name}\nthis member, term ${raft.term}`,
      );
      expect(await fact(page, 'summary', 'Voters')).toBe('3 of 3\nreachable');
      expect(await fact(page, 'summary', 'Store')).toContain('of 2.0 GiB');
      expect(await page.locator('#loop tbody tr').count()).toBe(4);
      expect(await page.locator('#backup-empty').innerText()).toContain('--keystead-backup-url');
      expect(faults).toEqual([]);
    });

    it('updates its values by itself', async () => {
      const { page, faults } = await open(first);
      const before = await fact(page, 'summary', 'Keys');
      const rows = await page.locator('#prefixes tbody tr').count();
      for (let at = 0; at < 20; at += 1)
        await cluster.put(first, `/registry/pods/default/web-${at}`, 'x'.repeat(500));
      await eventually('more keys', async () => (await fact(page, 'summary', 'Keys')) !== before, {
        timeoutMs: SEEN_MS,
      });
      expect(await page.locator('#prefixes tbody tr').count()).toBe(rows + 1);
      expect(await page.locator('#prefixes tbody').innerText()).toContain('/registry/pods');
      expect(await page.locator('#slow tbody').innerText()).toContain('/registry/pods/default/web-');
      expect(faults).toEqual([]);
    });

    it('shows keys, prefixes and names as text, whatever they contain', async () => {
      const { page, faults } = await open(first);
      await cluster.put(first, HOSTILE_PREFIX + HOSTILE);
      // Large enough to be among the slowest.
      await cluster.put(first, HOSTILE, Buffer.alloc(1_400_000));
      await eventually(
        'the hostile prefix',
        async () => (await page.locator('#prefixes tbody').innerText()).includes('<b onmouseover=alert(1)>'),
        { timeoutMs: SEEN_MS },
      );
      expect(await page.locator('#slow tbody').innerText()).toContain('<img src=x onerror=');
      expect(await page.locator('main :is(img, script, b)').count()).toBe(0);
      expect(await page.title()).toContain('Keystead');
      expect(faults).toEqual([]);
    });

    it('can be used with the keyboard', async () => {
      const { page } = await open(first);
      await page.keyboard.press('Tab');
      expect(await page.evaluate('document.activeElement.id')).toBe('pause');
      expect(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')).toBe('solid');
      await page.keyboard.press('Enter');
      expect(await page.locator('#pause').innerText()).toBe('Resume');
      expect(await page.locator('#updated').innerText()).toMatch(/^Updated \d\d:\d\d:\d\d UTC, paused$/);
      const paused = await page.locator('#updated').innerText();
      await page.waitForTimeout(6_000);
      expect(await page.locator('#updated').innerText()).toBe(paused);
      await page.keyboard.press('Space');
      await eventually('an update', async () =>
        (await page.locator('#updated').innerText()).endsWith('every 5 s'),
      );
      for (
        let stop = 0;
        stop < 10 && (await page.evaluate('document.activeElement.tagName')) !== 'A';
        stop += 1
      )
        await page.keyboard.press('Tab');
      expect(await page.evaluate('document.activeElement.textContent')).toBe('status.json');
    });

    it.each(['light', 'dark'] as const)('axe finds nothing in the %s scheme', async (colorScheme) => {
      for (const viewport of [{ width: 1280, height: 900 }, PHONE]) {
        const { page } = await open(first, { colorScheme, viewport, bypassCSP: true });
        await page.evaluate(axe.source);
        const found = await page.evaluate<{
          violations: { id: string; nodes: { html: string }[] }[];
          passes: unknown[];
        }>('axe.run()');
        expect(found.violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html ?? ''}`)).toEqual([]);
        expect(found.passes.length).toBeGreaterThan(20);
      }
    });

    it.each([360, 700, 900, 1280])('has no horizontal scroll at a width of %i', async (width) => {
      const { page } = await open(first, { viewport: { width, height: 740 } });
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
      if (width > PHONE.width) return;
      // As cards, not even a table scrolls.
      const widest = await page.evaluate(
        "Math.max(...[...document.querySelectorAll('.scroll')].map((each) => each.scrollWidth - each.clientWidth))",
      );
      expect(widest).toBe(0);
    });

    it('nothing else is served, and nothing but reads', async () => {
      const url = cluster.url(first);
      for (const path of ['/metrics', '/health', '/version', '/v3/kv/range', '/index.html', '/favicon.ico'])
        expect((await fetch(`${url}${path}`)).status).toBe(404);
      for (const method of ['POST', 'PUT', 'DELETE'])
        expect((await fetch(`${url}/status.json`, { method })).status).toBe(405);
    });

    it('shows a new leader, on the page of each member', async () => {
      const next = await cluster.follower();
      const [{ page, faults }, other] = [await open(first), await open(next)];
      await cluster.moveLeader(next);
      for (const each of [page, other.page]) {
        await eventually(
          `${next.name} as the leader`,
          async () => (await memberCell(each, next.name, 'Role')) === 'Leader',
          { timeoutMs: SEEN_MS },
        );
        expect(await memberCell(each, first.name, 'Role')).toBe('Follower');
        expect(await memberCell(each, first.name, 'Behind, entries')).toMatch(/^\d+$/);
      }
      expect([...faults, ...other.faults]).toEqual([]);
    });

    it('shows a member that is down, and how far it lags', async () => {
      const leader = await cluster.leader();
      const [down, asked] = cluster.members.filter((member) => member !== leader);
      if (down === undefined || asked === undefined) throw new Error('a cluster of three has two followers');
      const { page, faults } = await open(asked);
      await down.kill();
      const headline = `Member ${down.name} is unreachable`;
      await eventually('the headline', async () => (await ownHeadline(page)) === headline, {
        timeoutMs: SEEN_MS,
      });
      for (let at = 0; at < 10; at += 1) await cluster.put(leader, `/registry/leases/${at}`);
      await eventually(
        'the lag',
        async () => Number(await memberCell(page, down.name, 'Behind, entries')) >= 10,
        { timeoutMs: SEEN_MS },
      );
      expect(await memberCell(page, down.name, 'State')).toBe('Unreachable');
      expect(await memberCell(page, down.name, 'Up')).toBe('–');
      expect(await page.locator('#findings').innerText()).toContain(headline);
      expect(await page.title()).toMatch(/^\(\d\) /);
      await down.start();
      await eventually('all is well', async () => (await ownHeadline(page)) === 'All is well', {
        timeoutMs: SEEN_MS,
      });
      expect(faults).toEqual([]);
    });

    it('marks its figures as old when the server is gone, and takes new ones when it is back', async () => {
      const gone = await cluster.follower();
      const { page } = await open(gone);
      const figures = await page.locator('#members tbody').innerText();
      await gone.kill();
      const headline = page.locator('#headline');
      await eventually('the mark', async () => (await page.locator('body[data-stale]').count()) === 1, {
        timeoutMs: SEEN_MS,
      });
      expect(await headline.innerText()).toMatch(
        /^The server does not answer\. The figures are those of \d\d:\d\d:\d\d UTC\.$/,
      );
      expect(await page.title()).toBe('No answer – Keystead');
      expect((await page.locator('#members tbody').innerText()).length).toBeGreaterThan(figures.length / 2);
      await gone.start();
      await eventually('new figures', async () => (await page.locator('body[data-stale]').count()) === 0, {
        timeoutMs: SEEN_MS,
      });
    });
  },
);
