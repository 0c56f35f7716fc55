import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseUrlList, parseUrls } from './urls.ts';

/** The result of etcd 3.7.1's `types.NewURLs` for each URL, recorded with Go 1.26: its normal form or its error. */
interface Recorded {
  readonly url: string;
  readonly text?: string;
  readonly error?: string;
}

const recorded = JSON.parse(
  readFileSync(new URL('testdata/go-urls.json', import.meta.url), 'utf8'),
) as readonly Recorded[];

/** Removes the detail that Go adds about the wrong part of an address; Keystead does not have it. */
function withoutReason(error: string): string {
  return error.replace(/(invalid host: ParseAddr\(.*\)): .*$/, '$1');
}

function parsed(url: string): Omit<Recorded, 'url'> {
  try {
    return { text: parseUrls([url])[0]?.text ?? '' };
  } catch (error) {
    return { error: withoutReason((error as Error).message) };
  }
}

describe('URLs are parsed as Go parses them', () => {
  it.each(recorded)('$url', ({ url, text, error }) => {
    expect(parsed(url)).toEqual(error === undefined ? { text } : { error: withoutReason(error) });
  });

  it('parseUrlList splits at commas, parseUrls does not', () => {
    expect(parseUrlList('http://b:1,http://a:1').map(({ text }) => text)).toEqual([
      'http://a:1',
      'http://b:1',
    ]);
    expect(() => parseUrls(['http://b:1,http://a:1'])).toThrow('invalid port');
  });

  it('the path of a unix socket is unescaped', () => {
    expect(parseUrls(['unix:///tmp/a%20b'])).toMatchObject([{ socketPath: '/tmp/a b' }]);
    expect(parseUrls(['unix://localhost:1'])).toMatchObject([{ socketPath: 'localhost:1' }]);
  });
});
