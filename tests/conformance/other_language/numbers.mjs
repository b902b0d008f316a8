// float16, the exact merge, and the files of short ways to a model.

import { Refused, sha256 } from "./canonical.mjs";
import { Damaged, unpacked } from "./zstd.mjs";

const halfEven = (number) => {
  const low = Math.floor(number);
  const rest = number - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low;
};

// float64 to the bits of float16, rounded once.
export function toHalf(number) {
  const sign = number < 0 || Object.is(number, -0) ? 0x8000 : 0;
  const size = Math.abs(number);
  if (Number.isNaN(number)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | halfEven(size * 2 ** 24);
  let exponent = Math.floor(Math.log2(size));
  while (2 ** exponent > size) exponent--;
  while (2 ** (exponent + 1) <= size) exponent++;
  return sign | (((exponent + 15) << 10) + halfEven(size / 2 ** (exponent - 10)) - 1024);
}

export function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
}

// Rows of float16 bits: weight (out, in), down (rank, in), up (out, rank).
function fuse(weight, down, up, scale) {
  const rank = down.length;
  const k = Math.log2(scale);
  if (!Number.isInteger(k) || Math.abs(k) > 8) throw new Refused("artifact");
  if (weight.length !== up.length || weight.some((row) => row.length !== down[0].length)) throw new Refused("artifact");
  if (up.some((row) => row.length !== rank)) throw new Refused("artifact");
  const [wide, low, high] = [weight, down, up].map((matrix) => matrix.map((row) => row.map(fromHalf)));
  if (![...low, ...high].every((row) => row.every(Number.isFinite))) throw new Refused("artifact");
  const bound = 2 ** (Math.min(-24, k - 48) + 53);
  return wide.map((row, i) =>
    row.map((base, j) => {
      let [sum, size] = [0, 0];
      for (let r = 0; r < rank; r++) {
        sum += high[i][r] * low[r][j];
        size += Math.abs(high[i][r] * low[r][j]);
      }
      if (!(Math.abs(base) + scale * size <= bound)) throw new Refused("artifact");
      const bits = toHalf(base + scale * sum + 0);
      if ((bits & 0x7c00) === 0x7c00) throw new Refused("artifact");
      return bits;
    }),
  );
}

const hexWords = (rows) => rows.map((row) => row.map((word) => parseInt(word, 16)));
const asHex = (rows) => rows.map((row) => row.map((bits) => bits.toString(16).padStart(4, "0")));

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  take(n) {
    if (this.at + n > this.bytes.length) throw new Refused("artifact");
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }

  frame(size) {
    const frame = this.take(this.take(4).readUInt32LE());
    try {
      const content = unpacked(frame);
      if (content.length === size) return content;
    } catch (error) {
      if (!(error instanceof Damaged)) throw error;
    }
    throw new Refused("artifact");
  }
}

function factsOf(reader, magic, formats) {
  if (reader.take(8).toString() !== magic) throw new Refused("artifact");
  const facts = JSON.parse(reader.take(reader.take(4).readUInt32LE()));
  if (!formats.includes(facts.format)) throw new Refused("artifact");
  return facts;
}

const join = (low, high) => Array.from(low, (byte, n) => byte | (high[n] << 8));
const unfold = (word) => (word >> 1) ^ -(word & 1);
const ordered = (bits) => (bits & 0x8000 ? 0x7fff - (bits & 0x7fff) : bits + 0x8000);
const unordered = (place) => (place & 0x8000 ? place - 0x8000 : 0xffff - place);
const words = (bytes) => Array.from({ length: bytes.length / 2 }, (_, n) => bytes.readUInt16LE(2 * n));
const bytesOf = (numbers) => Buffer.from(new Uint16Array(numbers).buffer);

function applyDelta(base, update) {
  const reader = new Reader(update);
  const facts = factsOf(reader, "P1DELTA\n", [1, 2]);
  if (sha256(base) !== facts.base_sha256) throw new Refused("digest");
  if (base.length !== facts.size_bytes || facts.header_bytes > base.length) throw new Refused("artifact");
  const pieces = [base.subarray(0, facts.header_bytes)];
  for (let first = facts.header_bytes; first < base.length; first += 2 ** 21) {
    const old = words(base.subarray(first, Math.min(first + 2 ** 21, base.length)));
    const low = reader.frame(old.length);
    const steps = join(low, reader.frame(old.length)).map(unfold);
    pieces.push(bytesOf(facts.format === 2 ? moved(old, steps, facts.units) : added(old, steps)));
  }
  return finish(reader, Buffer.concat(pieces), facts);
}

function added(old, steps) {
  const made = new Array(old.length);
  const order = old.map((_, n) => n).sort((a, b) => ((old[a] >> 10) & 31) - ((old[b] >> 10) & 31) || a - b);
  order.forEach((place, n) => (made[place] = unordered((ordered(old[place]) + steps[n]) & 0xffff)));
  return made;
}

const moved = (old, steps, units) =>
  old.map((bits, n) => (steps[n] ? toHalf(fromHalf(bits) + steps[n] * units * 2 ** -24) : bits));

function applyAdapter(base, update) {
  const reader = new Reader(update);
  const facts = factsOf(reader, "P1ADAPT\n", [1]);
  if (facts.rank < 1 || Math.abs(facts.scale_exponent) > 8) throw new Refused("artifact");
  if (sha256(base) !== facts.base_sha256) throw new Refused("digest");
  const start = 8 + Number(base.readBigUInt64LE());
  const header = JSON.parse(base.subarray(8, start));
  delete header.__metadata__;
  const names = JSON.parse(reader.frame(facts.names_bytes));
  const shapes = names.map((name) => header[name]?.shape ?? []);
  if (shapes.some((shape) => shape.length !== 2 || facts.rank > Math.min(...shape))) throw new Refused("artifact");
  const total = shapes.reduce((sum, [out, inner]) => sum + facts.rank * (out + inner), 0);
  const low = reader.frame(total);
  const numbers = join(low, reader.frame(total));
  const made = Buffer.from(base);
  const rows = (flat, width) => Array.from({ length: flat.length / width }, (_, n) => flat.slice(n * width, (n + 1) * width));
  let at = 0;
  names.forEach((name, n) => {
    const [out, inner] = shapes[n];
    const down = rows(numbers.slice(at, (at += facts.rank * inner)), inner);
    const up = rows(numbers.slice(at, (at += facts.rank * out)), facts.rank);
    const [first, end] = header[name].data_offsets.map((offset) => start + offset);
    const weight = rows(words(base.subarray(first, end)), inner);
    bytesOf(fuse(weight, down, up, 2 ** facts.scale_exponent).flat()).copy(made, first);
  });
  return finish(reader, made, facts);
}

function finish(reader, made, facts) {
  if (reader.at !== reader.bytes.length) throw new Refused("artifact");
  if (sha256(made) !== facts.sha256) throw new Refused("digest");
  return { sha256: sha256(made), size_bytes: made.length };
}

export const topics = {
  "deltas/rounding": ({ float64 }) => ({
    float16: toHalf(Buffer.from(float64, "hex").readDoubleBE()).toString(16).padStart(4, "0"),
  }),
  "deltas/fuse": ({ weight, down, up, scale }) => ({
    weight: asHex(fuse(hexWords(weight), hexWords(down), hexWords(up), scale)),
  }),
  "deltas/files": ({ kind, base, update }) => {
    const [from, file] = [base, update].map((text) => Buffer.from(text, "base64"));
    return kind === "adapter" ? applyAdapter(from, file) : applyDelta(from, file);
  },
};
