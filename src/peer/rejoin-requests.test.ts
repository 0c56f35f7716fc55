import { describe, expect, it } from 'vitest';
import { EtcdError } from '../wire/errors.ts';
import { decodeRejoin, encodeRejoin, readNewId } from './rejoin-requests.ts';

describe('rejoin requests', () => {
  const request = {
    id: 0x8e9e05c52164694dn,
    clusterId: 0xcdf818194e3a8c32n,
    peerUrls: ['http://10.0.0.1:2380'],
  };

  it('are read as they were written', () => {
    expect(decodeRejoin(encodeRejoin(request).toString())).toEqual(request);
  });

  it.each([
    '',
    'null',
    '[]',
    '{}',
    '{"memberID":"x","clusterID":"1","peerURLs":["http://a:1"]}',
    '{"memberID":"12345678901234567","clusterID":"1","peerURLs":["http://a:1"]}',
    '{"memberID":"1","clusterID":2,"peerURLs":["http://a:1"]}',
    '{"memberID":"1","clusterID":"2","peerURLs":[]}',
    '{"memberID":"1","clusterID":"2","peerURLs":[1]}',
    `{"memberID":"1","clusterID":"2","peerURLs":${JSON.stringify(Array(17).fill('http://a:1'))}}`,
  ])('are refused if they are malformed: %s', (text) => {
    expect(decodeRejoin(text)).toBeUndefined();
  });

  it('are answered with an id, a refusal, or by a member that does not know them', () => {
    expect(readNewId(200, '8e9e05c52164694d')).toBe(0x8e9e05c52164694dn);
    expect(() => readNewId(412, 'keystead: cannot rejoin: no\n')).toThrow(EtcdError);
    expect(readNewId(503, 'etcdserver: not leader')).toBeUndefined();
    expect(readNewId(404, '404 page not found')).toBeUndefined();
  });
});
