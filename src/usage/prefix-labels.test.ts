import { describe, expect, it } from 'vitest';
import { keyRange } from '../mvcc/key-range.ts';
import { PrefixLabels } from './prefix-labels.ts';

function labelsOf(prefixes: readonly string[], max = 100) {
  const labels = new PrefixLabels(prefixes, max);
  return {
    of: (key: string) => labels.names[labels.of(Buffer.from(key, 'latin1'))],
    ofRange: (start: string, end: string) =>
      labels.names[labels.ofRange(keyRange(Buffer.from(start, 'latin1'), Buffer.from(end, 'latin1')))],
    names: () => labels.names,
  };
}

describe('the label of a key', () => {
  it.each([
    ['/registry/pods/default/web', '/registry/pods'],
    ['/registry/health', '/registry/health'],
    ['/registry/apiregistration.k8s.io/apiservices/v1.apps', '/registry/apiregistration.k8s.io/apiservices'],
    ['/registry/example.com', '/registry/example.com'],
    ['/registry/example.com/', '/registry/example.com'],
    ['/registry/example.com//x', '/registry/example.com'],
    ['/registry/services/specs/default/a', '/registry/services/specs/'],
    ['/registry/services/endpoints/default/a', '/registry/services'],
    ['/registry', 'other'],
    ['/registry/', 'other'],
    ['/registry//pods', 'other'],
    ['/registry/a b/c', 'other'],
    ['/registry/\xff\xfe/c', 'other'],
    ['/registry.io/pods', 'other'],
    [`/registry/${'x'.repeat(500)}/y`, 'other'],
    [`/registry/${'x'.repeat(390)}/y`, `/registry/${'x'.repeat(390)}`],
    [`/registry/a.b/${'x'.repeat(500)}`, 'other'],
    ['/app/1', '/app/'],
    ['/app', 'other'],
    ['', 'other'],
    ['\0', 'other'],
  ])('%j is %j', (key, label) => {
    expect(labelsOf(['/registry/*', '/registry/services/specs/', '/app/']).of(key)).toBe(label);
  });

  it('is other when the maximum is reached, and the labels before stay', () => {
    const labels = labelsOf(['/r/*', '/app/'], 3);
    expect(['/r/a/1', '/r/b/1', '/r/c/1', '/r/a/2', '/app/1', '/r/c'].map(labels.of)).toEqual([
      ...['/r/a', '/r/b', 'other', '/r/a', '/app/', 'other'],
    ]);
    expect(labels.names()).toEqual(['other', '/app/', '/r/a', '/r/b']);
  });
});

describe('the label of a watched range', () => {
  it.each([
    ['/registry/pods/', '/registry/pods0', '/registry/pods'],
    ['/registry/pods/kube-system/', '/registry/pods/kube-system0', '/registry/pods'],
    ['/registry/pods/default/web', '', '/registry/pods'],
    ['/registry/example.com/widgets/', '/registry/example.com/widgets0', '/registry/example.com/widgets'],
    // It has all resources of the group.
    ['/registry/example.com/', '/registry/example.com0', 'other'],
    // It has /registry/podtemplates too.
    ['/registry/pods', '/registry/podt', 'other'],
    ['/registry/pods/', '/registry/pods1', 'other'],
    ['/registry/', '/registry0', 'other'],
    ['/registry/pods/', '\0', 'other'],
    ['/app/', '/app0', '/app/'],
    ['/app/a', '/app/b', '/app/'],
    ['/app/a', '/appx', 'other'],
    ['\xff\xff', '\0', 'other'],
  ])('from %j to %j is %j', (start, end, label) => {
    expect(labelsOf(['/registry/*', '/app/']).ofRange(start, end)).toBe(label);
  });
});
