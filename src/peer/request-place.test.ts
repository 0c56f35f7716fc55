import { expect, it } from 'vitest';
import { isDialable, requestPlace } from './request-place.ts';

it.each([
  ['http://a:1', { isSecure: false, options: { hostname: 'a', port: 1, path: '/raft' } }],
  ['https://[fd00::1]:1', { isSecure: true, options: { hostname: 'fd00::1', port: 1, path: '/raft' } }],
  ['unix://m0:1', { isSecure: false, options: { socketPath: 'm0:1', host: 'm0', path: '/raft' } }],
  ['unixs://m0:1', { isSecure: true, options: { socketPath: 'm0:1', host: 'm0', path: '/raft' } }],
  [
    'unix:///run/m0',
    { isSecure: false, options: { socketPath: '/run/m0', host: 'localhost', path: '/raft' } },
  ],
  ['unix:m0', { isSecure: false, options: { socketPath: 'm0', host: 'localhost', path: '/raft' } }],
])('%s', (url, place) => {
  expect(isDialable(url)).toBe(true);
  expect(requestPlace(url, '/raft')).toMatchObject(place);
});

it.each(['', 'a:1', 'unix:', 'http://a:99999', 'ftp://a:1'])('%j is not a usable URL', (url) => {
  expect(isDialable(url)).toBe(false);
});
