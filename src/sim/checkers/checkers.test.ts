import { describe, expect, it } from 'vitest';
import { checkHistory, type KvRequest, type KvResponse, type Operation } from './client-history.ts';
import { CommittedHistory } from './committed-history.ts';
import { checkWatch } from './watch-order.ts';

function committed(): CommittedHistory {
  const history = new CommittedHistory();
  const changes = [
    { revision: 2, sub: 0, key: 'a', value: 'one' },
    { revision: 3, sub: 0, key: 'b', value: 'two' },
    { revision: 4, sub: 0, key: 'a', value: undefined },
    { revision: 5, sub: 0, key: 'a', value: 'three' },
  ];
  expect(history.recordChanges('m0', changes)).toBeUndefined();
  return history;
}

function operation(request: KvRequest, span: [number, number?], response?: KvResponse): Operation {
  const [startedAt, endedAt] = span;
  return { client: 0, startedAt, endedAt, request, response, refused: false };
}

describe('the history of clients', () => {
  const put = operation({ kind: 'put', key: 'b', value: 'two' }, [1, 2], { revision: 3 });

  it('may be in the order of its revisions', () => {
    const get = operation({ kind: 'get', key: 'b' }, [3, 4], {
      revision: 5,
      found: { value: 'two', mod: 3 },
    });
    expect(checkHistory([put, get], committed())).toBeUndefined();
  });

  it('has no stale reads', () => {
    const get = operation({ kind: 'get', key: 'b' }, [3, 4], { revision: 2 });
    expect(checkHistory([put, get], committed())).toContain('comes before');
  });

  it('has no acknowledged write that is lost', () => {
    const lost = operation({ kind: 'put', key: 'b', value: 'four' }, [1, 2], { revision: 6 });
    expect(checkHistory([lost], committed())).toContain('revision 6 holds nothing');
  });

  it('has no unanswered write that took effect before its request', () => {
    const unanswered = operation({ kind: 'put', key: 'a', value: 'one' }, [3]);
    expect(checkHistory([put, unanswered], committed())).toContain('comes before');
    expect(checkHistory([put, { ...unanswered, startedAt: 0 }], committed())).toBeUndefined();
  });

  it('has no write that was refused and took effect', () => {
    const refused = { ...operation({ kind: 'put', key: 'a', value: 'three' }, [1]), refused: true };
    expect(checkHistory([refused], committed())).toContain('it was refused');
  });
});

describe('a watcher', () => {
  const one = { revision: 2, key: 'a', value: 'one' };
  const gone = { revision: 4, key: 'a', value: undefined };
  const watching = { prefix: 'a', startRevision: 2, seen: [one, gone] };

  it('may be behind', () => {
    expect(checkWatch(watching, committed())).toBeUndefined();
    expect(checkWatch({ ...watching, marks: [{ revision: 4, seen: 2 }] }, committed())).toBeUndefined();
  });

  it('misses no event and gets no progress notification ahead of its events', () => {
    expect(checkWatch({ ...watching, seen: [gone] }, committed())).toContain('where a=one at 2 was next');
    const marks = [{ revision: 5, seen: 2 }];
    expect(checkWatch({ ...watching, marks }, committed())).toContain('2 of 3 events');
  });

  it('sees no event twice', () => {
    expect(checkWatch({ ...watching, seen: [one, one, gone] }, committed())).toContain('got a=one at 2');
  });
});
