import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
const LINK = /\]\(([^)\s]+)\)/g;
const HEADING = /^#{1,6} (.+)$/gm;

const pages = ['.', 'docs', 'monitoring'].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(root, folder, name)),
);

function textOf(page: string): string {
  // A hash in a block of code is no heading.
  return readFileSync(page, 'utf8').replace(/^ *```[\s\S]*?^ *```$/gm, '');
}

/** The anchor that GitHub gives a heading. */
function anchorOf(heading: string): string {
  const text = heading.trim().toLowerCase();
  return text.replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/\s/g, '-');
}

function faultOf(page: string, link: string): string | undefined {
  if (/^[a-z]+:/.test(link)) return undefined;
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? page : join(dirname(page), path);
  if (!existsSync(target)) return 'there is no such file';
  if (anchor === undefined) return undefined;
  const anchors = [...textOf(target).matchAll(HEADING)].map(([, heading = '']) => anchorOf(heading));
  return anchors.includes(anchor) ? undefined : 'there is no such heading';
}

it('each link in the documentation has a target', () => {
  const faults = pages.flatMap((page) =>
    [...textOf(page).matchAll(LINK)].flatMap(([, link = '']) => {
      const fault = faultOf(page, link);
      return fault === undefined ? [] : [`${relative(root, page)}: ${link}: ${fault}`];
    }),
  );
  expect(faults).toEqual([]);
});

it('each page of the documentation is in the menu of the site', () => {
  const menu = readFileSync(join(root, 'docs/.vitepress/config.ts'), 'utf8');
  const linked = [...menu.matchAll(/link: '\/([a-z-]+)/g)].map(([, name]) => name);
  const names = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'));
  expect(names.map((name) => name.slice(0, -3)).filter((name) => !linked.includes(name))).toEqual(['index']);
});
