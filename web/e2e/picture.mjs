// Pictures with at most 256 colours: a wall has few, and a repository keeps every picture for ever.
import { deflateSync } from 'node:zlib';
import { PNG } from 'pngjs';

const COLOURS = 256;

function crc(bytes) {
  let value = ~0;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
  }
  return ~value >>> 0;
}

function chunk(name, data) {
  const out = Buffer.alloc(data.length + 12);
  out.writeUInt32BE(data.length, 0);
  out.write(name, 4, 'ascii');
  data.copy(out, 8);
  out.writeUInt32BE(crc(out.subarray(4, data.length + 8)), data.length + 8);
  return out;
}

/** Half of the palette are the most frequent colours, half the most frequent of each region: a small mark keeps its hue. */
function choose(colours) {
  const chosen = new Set(colours.slice(0, COLOURS / 2));
  const regions = new Set();
  for (const colour of colours) {
    const region = colour & 0xe0e0e0;
    if (chosen.size < COLOURS && !regions.has(region)) chosen.add(colour);
    regions.add(region);
  }
  for (const colour of colours) if (chosen.size < COLOURS) chosen.add(colour);
  return [...chosen];
}

/** The same picture with a palette of its most frequent colours; the rest become the nearest of them. */
export function small(png) {
  const { width, height, data } = PNG.sync.read(png);
  const count = new Map();
  const key = (i) => (data[i] << 16) | (data[i + 1] << 8) | data[i + 2];
  for (let i = 0; i < data.length; i += 4) count.set(key(i), (count.get(key(i)) ?? 0) + 1);
  const palette = choose([...count].sort((a, b) => b[1] - a[1]).map(([colour]) => colour));
  const parts = (colour) => [colour >> 16, (colour >> 8) & 255, colour & 255];
  const nearest = (colour) => {
    const [r, g, b] = parts(colour);
    let best = 0;
    let least = Infinity;
    palette.forEach((other, i) => {
      const [x, y, z] = parts(other);
      const away = 2 * (r - x) ** 2 + 4 * (g - y) ** 2 + 3 * (b - z) ** 2;
      if (away < least) [best, least] = [i, away];
    });
    return best;
  };
  const index = new Map(palette.map((colour, i) => [colour, i]));
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const colour = key((y * width + x) * 4);
      if (!index.has(colour)) index.set(colour, nearest(colour));
      rows[y * (width + 1) + x + 1] = index.get(colour);
    }
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 3, 0, 0, 0], 8);
  const colours = Buffer.from(palette.flatMap(parts));
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', head),
    chunk('PLTE', colours),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
