import { deflateSync, inflateSync } from 'node:zlib';

/*
 * Makes screenshots small enough to be committed: a PNG with three bytes per pixel, as Chromium writes it, becomes one
 * with a palette. Colours that differ only a little become the most frequent one of them, so large areas keep theirs.
 */

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const BYTES_PER_PIXEL = 3;
const MAX_COLOURS = 256;

interface Picture {
  readonly width: number;
  readonly height: number;
  /** Red, green and blue of each pixel. */
  readonly pixels: Buffer;
}

export function smallPng(png: Buffer): Buffer {
  const picture = decode(png);
  for (let bits = 5; ; bits -= 1) {
    const palette = paletteOf(picture, bits);
    if (palette.colours.length <= MAX_COLOURS) return encode(picture, palette);
  }
}

interface Palette {
  /** As `0xrrggbb`. */
  readonly colours: readonly number[];
  readonly indexOf: (colour: number) => number;
}

/** @param bits of each component that make colours differ */
function paletteOf({ pixels }: Picture, bits: number): Palette {
  const kept = (0xff << (8 - bits)) & 0xff;
  const mask = (kept << 16) | (kept << 8) | kept;
  const counts = new Map<number, Map<number, number>>();
  for (let at = 0; at < pixels.length; at += BYTES_PER_PIXEL) {
    const colour = pixels.readUIntBE(at, BYTES_PER_PIXEL);
    const alike = counts.get(colour & mask) ?? new Map<number, number>();
    alike.set(colour, (alike.get(colour) ?? 0) + 1);
    counts.set(colour & mask, alike);
  }
  const places = new Map([...counts.keys()].map((group, place) => [group, place]));
  const colours = [...counts.values()].map(
    (alike) => [...alike].reduce((most, each) => (each[1] > most[1] ? each : most))[0],
  );
  return { colours, indexOf: (colour) => places.get(colour & mask) ?? 0 };
}

function decode(png: Buffer): Picture {
  const data: Buffer[] = [];
  let [width, height] = [0, 0];
  for (let at = SIGNATURE.length; at < png.length;) {
    const length = png.readUInt32BE(at);
    const kind = png.toString('latin1', at + 4, at + 8);
    const body = png.subarray(at + 8, at + 8 + length);
    if (kind === 'IHDR') {
      [width, height] = [body.readUInt32BE(0), body.readUInt32BE(4)];
      if (body[8] !== 8 || body[9] !== 2 || body[12] !== 0)
        throw new Error('not a PNG as Chromium writes it');
    } else if (kind === 'IDAT') data.push(body);
    at += 12 + length;
  }
  return {
    width,
    height,
    pixels: unfiltered(inflateSync(Buffer.concat(data)), width * BYTES_PER_PIXEL, height),
  };
}

/** Undoes the filters of the lines, by the PNG specification, section 9. */
function unfiltered(lines: Buffer, stride: number, height: number): Buffer {
  const pixels = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y += 1) {
    const filter = lines[y * (stride + 1)];
    for (let x = 0; x < stride; x += 1) {
      const at = y * stride + x;
      const left = x < BYTES_PER_PIXEL ? 0 : (pixels[at - BYTES_PER_PIXEL] ?? 0);
      const above = y === 0 ? 0 : (pixels[at - stride] ?? 0);
      const corner = x < BYTES_PER_PIXEL || y === 0 ? 0 : (pixels[at - stride - BYTES_PER_PIXEL] ?? 0);
      const guesses = [0, left, above, (left + above) >> 1, paeth(left, above, corner)];
      pixels[at] = ((lines[y * (stride + 1) + 1 + x] ?? 0) + (guesses[filter ?? 0] ?? 0)) & 0xff;
    }
  }
  return pixels;
}

function paeth(left: number, above: number, corner: number): number {
  const guess = left + above - corner;
  const [toLeft, toAbove, toCorner] = [left, above, corner].map((each) => Math.abs(guess - each));
  if ((toLeft ?? 0) <= (toAbove ?? 0) && (toLeft ?? 0) <= (toCorner ?? 0)) return left;
  return (toAbove ?? 0) <= (toCorner ?? 0) ? above : corner;
}

function encode({ width, height, pixels }: Picture, { colours, indexOf }: Palette): Buffer {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 3, 0, 0, 0], 8);
  const table = Buffer.alloc(BYTES_PER_PIXEL * colours.length);
  for (const [at, colour] of colours.entries())
    table.writeUIntBE(colour, BYTES_PER_PIXEL * at, BYTES_PER_PIXEL);
  const lines = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1)
      lines[y * (width + 1) + 1 + x] = indexOf(
        pixels.readUIntBE(BYTES_PER_PIXEL * (y * width + x), BYTES_PER_PIXEL),
      );
  const data = deflateSync(lines, { level: 9, memLevel: 9 });
  return Buffer.concat([
    SIGNATURE,
    ...[chunk('IHDR', head), chunk('PLTE', table), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))],
  ]);
}

function chunk(kind: string, body: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(kind, 'latin1'), body]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(body.length);
  check.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, check]);
}

/** The CRC of PNG, bit by bit. Node.js has it only from version 22 on. */
function crc32(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
