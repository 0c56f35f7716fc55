import { expect, it } from 'vitest';
import { resolvePath } from './clean-path.ts';

it.each([
  ['/v3/kv/range', '/v3/kv/range', '/v3/kv/range'],
  ['/v3//kv/range', '/v3//kv/range', '/v3/kv/range'],
  ['/v3/./kv/../kv/range', '/v3/./kv/../kv/range', '/v3/kv/range'],
  ['//v3/', '//v3/', '/v3/'],
  ['/../..', '/../..', '/'],
  ['/v3/.hidden', '/v3/.hidden', '/v3/.hidden'],
  ['/v3/kv/%72ange', '/v3/kv/range', '/v3/kv/range'],
  ['/v3/kv/%2e%2e/x', '/v3/kv/../x', '/v3/x'],
  ['/v3/%ff', '/v3/%ff', '/v3/%ff'],
])('%s', (path, plain, clean) => {
  expect(resolvePath(path)).toEqual({ plain, clean });
});

it('invalid escapes', () => {
  expect(resolvePath('/v3/%zz')).toBeUndefined();
  expect(resolvePath('/v3/%2')).toBeUndefined();
});
