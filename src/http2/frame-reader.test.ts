import { expect, it } from 'vitest';
import { FrameReader, type FrameSink } from './frame-reader.ts';
import { RawClient } from './raw-client.ts';

class Recorder implements FrameSink {
  readonly frames: string[] = [];
  readonly sources: Buffer[] = [];

  onFrame(type: number, flags: number, streamId: number, source: Buffer, start: number, end: number): void {
    this.frames.push(`${type} ${flags} ${streamId} ${source.toString('hex', start, end)}`);
    this.sources.push(source);
  }
}

const BYTES = Buffer.concat([
  RawClient.frame(4, 0, 0),
  RawClient.frame(1, 5, 1, Buffer.from('headers')),
  RawClient.frame(0, 1, 1, Buffer.alloc(300, 7)),
  RawClient.frame(6, 0, 0, Buffer.from('12345678')),
]);

function read(chunks: Buffer[]): Recorder {
  const recorder = new Recorder();
  const reader = new FrameReader(recorder);
  for (const chunk of chunks) reader.read(chunk, 0, { units: Infinity });
  return recorder;
}

it('frames are the same for any division into chunks', () => {
  const whole = read([BYTES]).frames;
  expect(whole).toHaveLength(4);
  for (let first = 1; first < BYTES.length; first++) {
    expect(read([BYTES.subarray(0, first), BYTES.subarray(first)]).frames).toEqual(whole);
  }
  expect(read([...BYTES].map((byte) => Buffer.from([byte]))).frames).toEqual(whole);
});

it('a frame that is complete in one chunk is not copied', () => {
  const recorder = read([BYTES]);
  expect(recorder.sources.every((source) => source === BYTES)).toBe(true);
});

it('a frame longer than the announced maximum is refused, in one chunk or several', () => {
  const long = RawClient.frame(0, 0, 1, Buffer.alloc(16_385));
  expect(() => read([long])).toThrow('frame of 16385 bytes');
  expect(() => read([long.subarray(0, 2), long.subarray(2, 20)])).toThrow('frame of 16385 bytes');
  expect(() => read([long.subarray(0, 9)])).toThrow('frame of 16385 bytes');
});

it('no frame is delivered after a stop, even from the same chunk', () => {
  const recorder = new Recorder();
  const reader: FrameReader = new FrameReader({
    onFrame: (...frame) => {
      recorder.onFrame(...frame);
      if (recorder.frames.length === 2) reader.stop();
    },
  });
  reader.read(BYTES, 0, { units: Infinity });
  reader.read(BYTES, 0, { units: Infinity });
  expect(recorder.frames).toHaveLength(2);
});
