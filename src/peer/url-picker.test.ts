import { expect, it } from 'vitest';
import { UrlPicker } from './url-picker.ts';

it('switches once to the next URL when one does not work', () => {
  const picker = new UrlPicker(['http://a:1', 'http://b:1']);
  expect(picker.pick()).toBe('http://a:1');
  picker.unreachable('http://a:1');
  picker.unreachable('http://a:1');
  expect(picker.pick()).toBe('http://b:1');
});

// Adding a member with such a URL, which etcd accepts, crashed the process.
it('unusable URLs are skipped', () => {
  expect(new UrlPicker(['unix:', 'http://a:99999', 'http://b:1']).pick()).toBe('http://b:1');
  expect(new UrlPicker(['http://:2380']).pick()).toBe('http://localhost:2380');
  expect(new UrlPicker(['unix://a:1']).pick()).toBe('unix://a:1');
  const picker = new UrlPicker(['']);
  expect(new URL(picker.pick()).hostname).toMatch(/\.invalid$/);
  picker.update([]);
  expect(new URL(picker.pick()).hostname).toMatch(/\.invalid$/);
  picker.update(['http://c:1']);
  expect(picker.pick()).toBe('http://c:1');
});
