// Makes a screenshot a third of its size: 256 colours, which a page has not many more of.
import { crc32, deflateSync, inflateSync } from 'node:zlib';

const SIGNATURE_BYTES = 8;
const CHUNK_BYTES = 12;
const COLOURS = 256;
const RGB = 2;

interface Picture {
  readonly width: number;
  readonly height: number;
  /** Three bytes a pixel. */
  readonly rgb: Buffer;
}

/** Returns the same picture with a palette. Throws for anything but what Chromium makes: 8 bits, RGB, not interlaced. */
export function palettePng(png: Buffer): Buffer {
  const { width, height, rgb } = decode(png);
  const counts = new Map<number, number>();
  for (let at = 0; at < rgb.length; at += 3) counts.set(colourAt(rgb, at), (counts.get(colourAt(rgb, at)) ?? 0) + 1);
  const palette = [...counts].sort(([, a], [, b]) => b - a).slice(0, COLOURS).map(([colour]) => colour);
  const indexes = new Map([...counts.keys()].map((colour) => [colour, nearest(palette, colour)]));
  const lines = Buffer.alloc((width + 1) * height);
  for (let pixel = 0; pixel < width * height; pixel += 1)
    lines[pixel + Math.floor(pixel / width) + 1] = indexes.get(colourAt(rgb, pixel * 3)) ?? 0;
  const head = Buffer.from(png.subarray(SIGNATURE_BYTES + 8, SIGNATURE_BYTES + 8 + 13));
  head[9] = 3;
  const colours = Buffer.from(palette.flatMap((colour) => [colour >> 16, (colour >> 8) & 255, colour & 255]));
  const parts = [chunk('IHDR', head), chunk('PLTE', colours), chunk('IDAT', deflateSync(lines, { level: 9 })), chunk('IEND', Buffer.alloc(0))];
  return Buffer.concat([png.subarray(0, SIGNATURE_BYTES), ...parts]);
}

function colourAt(rgb: Buffer, at: number): number {
  return rgb.readUIntBE(at, 3);
}

function nearest(palette: readonly number[], colour: number): number {
  const distance = (other: number): number =>
    [16, 8, 0].reduce((sum, shift) => sum + (((other >> shift) & 255) - ((colour >> shift) & 255)) ** 2, 0);
  return palette.reduce((best, each, index) => (distance(each) < distance(palette[best] ?? 0) ? index : best), 0);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const frame = Buffer.alloc(CHUNK_BYTES + data.length);
  frame.writeUInt32BE(data.length);
  body.copy(frame, 4);
  frame.writeUInt32BE(crc32(body), 8 + data.length);
  return frame;
}

function decode(png: Buffer): Picture {
  const found: { type: string; data: Buffer }[] = [];
  for (let at = SIGNATURE_BYTES; at < png.length; ) {
    const length = png.readUInt32BE(at);
    found.push({ type: png.toString('latin1', at + 4, at + 8), data: png.subarray(at + 8, at + 8 + length) });
    at += CHUNK_BYTES + length;
  }
  const head = found.find(({ type }) => type === 'IHDR')?.data;
  if (head === undefined || head[8] !== 8 || head[9] !== RGB || head[12] !== 0) throw new Error('not a PNG as Chromium makes them');
  const [width, height] = [head.readUInt32BE(0), head.readUInt32BE(4)];
  const lines = inflateSync(Buffer.concat(found.filter(({ type }) => type === 'IDAT').map(({ data }) => data)));
  return { width, height, rgb: unfilter(lines, width * 3, height) };
}

/** PNG specification, section 9. */
function unfilter(lines: Buffer, stride: number, height: number): Buffer {
  const rgb = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y += 1) {
    const filter = lines[y * (stride + 1)] ?? 0;
    for (let x = 0; x < stride; x += 1) {
      const at = y * stride + x;
      const left = x < 3 ? 0 : (rgb[at - 3] ?? 0);
      const up = y === 0 ? 0 : (rgb[at - stride] ?? 0);
      const corner = x < 3 || y === 0 ? 0 : (rgb[at - stride - 3] ?? 0);
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter] ?? 0;
      rgb[at] = (lines[at + y + 1] ?? 0) + guess;
    }
  }
  return rgb;
}

function paeth(left: number, up: number, corner: number): number {
  const [toLeft, toUp, toCorner] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}
