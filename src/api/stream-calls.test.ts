import { expect, it, vi } from 'vitest';
import type { CancelReason } from '../grpc/call.ts';
import { whenWritable } from './stream-calls.ts';

interface Call {
  onWritable: (() => void) | undefined;
  onCancel: ((reason: CancelReason) => void) | undefined;
}

it('waiting for a slow client leaves no callbacks at the call', async () => {
  const canceled = vi.fn();
  const call: Call = { onWritable: undefined, onCancel: canceled };
  for (let slow = 0; slow < 3; slow += 1) {
    const waited = whenWritable(call);
    call.onWritable?.();
    await waited;
    expect(call).toEqual({ onWritable: undefined, onCancel: canceled });
  }
  expect(canceled).not.toHaveBeenCalled();
});

it('the wait ends with the call, and its own callback still runs', async () => {
  const canceled = vi.fn();
  const call: Call = { onWritable: undefined, onCancel: canceled };
  const waited = whenWritable(call);
  call.onCancel?.('reset');
  await waited;
  expect(canceled.mock.calls).toEqual([['reset']]);
});
