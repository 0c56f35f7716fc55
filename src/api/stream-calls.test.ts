import { expect, test, vi } from 'vitest';
import type { CancelReason } from '../grpc/call.ts';
import { whenWritable } from './stream-calls.ts';

interface Call {
  onWritable: (() => void) | undefined;
  onCancel: ((reason: CancelReason) => void) | undefined;
}

test('however often a client is slow, waiting for it leaves nothing at the call', async () => {
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

test('a call that ends is not waited for, and its end is told on', async () => {
  const canceled = vi.fn();
  const call: Call = { onWritable: undefined, onCancel: canceled };
  const waited = whenWritable(call);
  call.onCancel?.('reset');
  await waited;
  expect(canceled.mock.calls).toEqual([['reset']]);
});
