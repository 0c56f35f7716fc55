import { describe, expect, it } from 'vitest';
import { missingPeers } from '../harness/paths.ts';
import { longTurnsOf } from './long-turns.ts';

const missing = missingPeers('etcdctl');
const boundMs = Number(process.env['KEYSTEAD_MAX_TURN_MS'] ?? '100');
const size = { keys: 100_000, leases: 50_000, watchers: 2_000 };

describe.skipIf(missing !== undefined)(`a member with much data ${missing ?? ''}`, () => {
  it('never holds its event loop for long', async () => {
    expect(await longTurnsOf({ ...size, boundMs })).toEqual([]);
  });
});
