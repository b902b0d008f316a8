// Zstandard frames (RFC 8878), unpacked: enough of it for any frame without a dictionary, and nothing for speed.

export class Damaged extends Error {}

const refuseUnless = (isTrue) => {
  if (!isTrue) throw new Damaged("no frame of zstd");
};
const highBit = (number) => 31 - Math.clz32(number);

// Bits from the front, lowest first.
class Forward {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  read(n) {
    let value = 0;
    for (let i = 0; i < n; i++, this.at++) value |= ((this.bytes[this.at >> 3] >> (this.at & 7)) & 1) << i;
    return value;
  }
}

// Bits from the back, behind the padding; what lies before the front is zeros.
class Backward {
  constructor(bytes) {
    refuseUnless(bytes.length && bytes[bytes.length - 1]);
    this.bytes = bytes;
    this.at = bytes.length * 8 - 8 + highBit(bytes[bytes.length - 1]);
  }

  read(n) {
    let value = 0;
    for (let i = 0; i < n; i++) {
      this.at -= 1;
      value = value * 2 + (this.at >= 0 ? (this.bytes[this.at >> 3] >> (this.at & 7)) & 1 : 0);
    }
    return value;
  }
}

function fseTable(counts, log) {
  const size = 1 << log;
  const symbols = new Array(size);
  let high = size;
  counts.forEach((count, symbol) => {
    if (count === -1) symbols[--high] = symbol;
  });
  let at = 0;
  counts.forEach((count, symbol) => {
    for (let i = 0; i < count; i++) {
      symbols[at] = symbol;
      do at = (at + (size >> 1) + (size >> 3) + 3) & (size - 1);
      while (at >= high);
    }
  });
  const next = counts.map((count) => Math.abs(count));
  const states = symbols.map((symbol) => {
    const x = next[symbol]++;
    const bits = log - highBit(x);
    return { symbol, bits, base: (x << bits) - size };
  });
  return { states, log };
}

// The counts of a table, and how many bytes they took.
function readCounts(bytes, mostLog) {
  const bits = new Forward(bytes);
  const log = bits.read(4) + 5;
  refuseUnless(log <= mostLog);
  const counts = [];
  for (let left = 1 << log; left > 0; ) {
    const width = highBit(left + 1) + 1;
    let value = bits.read(width);
    const [mask, threshold] = [(1 << (width - 1)) - 1, (1 << width) - 1 - (left + 1)];
    if ((value & mask) < threshold) {
      bits.at -= 1;
      value &= mask;
    } else if (value > mask) value -= threshold;
    counts.push(value - 1);
    left -= Math.abs(value - 1);
    if (value === 1) {
      for (let more = 3; more === 3; ) {
        more = bits.read(2);
        for (let i = 0; i < more; i++) counts.push(0);
      }
    }
  }
  return [fseTable(counts, log), (bits.at + 7) >> 3];
}

const stepOf = (table, state, bits) => table.states[state].base + bits.read(table.states[state].bits);

function weightsOf(bytes) {
  const [table, used] = readCounts(bytes, 6);
  const bits = new Backward(bytes.subarray(used));
  const states = [bits.read(table.log), bits.read(table.log)];
  const weights = [];
  for (let turn = 0; ; turn = 1 - turn) {
    weights.push(table.states[states[turn]].symbol);
    states[turn] = stepOf(table, states[turn], bits);
    if (bits.at < 0) return [...weights, table.states[states[1 - turn]].symbol];
  }
}

// A Huffman table, and how many bytes it took.
function readHuffman(bytes) {
  const head = bytes[0];
  let [weights, used] = [[], 1 + head];
  if (head < 128) weights = weightsOf(bytes.subarray(1, used));
  else {
    used = 1 + ((head - 127 + 1) >> 1);
    for (let i = 0; i < head - 127; i++) weights.push((bytes[1 + (i >> 1)] >> (i % 2 ? 0 : 4)) & 15);
  }
  const sum = weights.reduce((total, weight) => total + (weight ? 1 << (weight - 1) : 0), 0);
  const most = highBit(sum) + 1;
  weights.push(highBit((1 << most) - sum) + 1);
  const codes = [];
  for (let weight = 1; weight <= most; weight++) {
    weights.forEach((own, symbol) => {
      if (own === weight) for (let i = 0; i < 1 << (weight - 1); i++) codes.push({ symbol, bits: most + 1 - weight });
    });
  }
  return [{ codes, most }, used];
}

function huffmanStream(bytes, { codes, most }) {
  const bits = new Backward(bytes);
  const found = [];
  for (let state = bits.read(most); bits.at > -most; ) {
    found.push(codes[state].symbol);
    state = ((state << codes[state].bits) + bits.read(codes[state].bits)) & ((1 << most) - 1);
  }
  return found;
}

// The literals of a block, and how many bytes they took.
function literalsOf(block, context) {
  const [kind, form] = [block[0] & 3, (block[0] >> 2) & 3];
  if (kind < 2) {
    const length = form === 1 ? 2 : form === 3 ? 3 : 1;
    const size = block.readUIntLE(0, length) >> (length === 1 ? 3 : 4);
    return kind === 0
      ? [[...block.subarray(length, length + size)], length + size]
      : [new Array(size).fill(block[length]), length + 1];
  }
  const [length, width] = [[3, 10], [3, 10], [4, 14], [5, 18]][form];
  const header = BigInt(block.readUIntLE(0, length)) >> 4n;
  const [size, packed] = [0n, BigInt(width)].map((shift) => Number((header >> shift) & ((1n << BigInt(width)) - 1n)));
  let content = block.subarray(length, length + packed);
  if (kind === 2) {
    const [table, used] = readHuffman(content);
    context.huffman = table;
    content = content.subarray(used);
  }
  refuseUnless(context.huffman);
  let streams = [content];
  if (form !== 0) {
    const ends = [0, 2, 4].map((at) => content.readUInt16LE(at));
    let at = 6;
    streams = ends.map((n) => content.subarray(at, (at += n)));
    streams.push(content.subarray(at));
  }
  const literals = streams.flatMap((stream) => huffmanStream(stream, context.huffman));
  refuseUnless(literals.length === size);
  return [literals, length + packed];
}

const ones = (n) => new Array(n).fill(1);
const [twos, minus] = [(n) => new Array(n).fill(2), (n) => new Array(n).fill(-1)];
const KINDS = {
  literal: { most: 9, log: 6, counts: [4, 3, ...twos(11), 1, 1, 1, ...twos(9), 3, 2, ...ones(5), ...minus(4)] },
  offset: { most: 8, log: 5, counts: [...ones(6), 2, 2, 2, ...ones(15), ...minus(5)] },
  match: { most: 9, log: 6, counts: [1, 4, 3, ...twos(6), ...ones(37), ...minus(7)] },
};

// For every code its least value and how many bits are added.
function lengths(nPlain, first, widths) {
  const plain = Array.from({ length: nPlain }, (_, n) => [n + first, 0]);
  let base = nPlain + first;
  return [...plain, ...widths.map((bits) => [(base += 1 << bits) - (1 << bits), bits])];
}

const LITERALS = lengths(16, 0, [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
const MATCHES = lengths(32, 3, [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);

function sequencesOf(bytes, context) {
  let [n, at] = [bytes[0], 1];
  if (n === 0) return [];
  if (n > 127) [n, at] = n < 255 ? [((n - 128) << 8) + bytes[1], 2] : [bytes.readUInt16LE(1) + 0x7f00, 3];
  const modes = bytes[at++];
  const tables = ["literal", "offset", "match"].map((kind, index) => {
    const mode = (modes >> (6 - 2 * index)) & 3;
    const { most, log, counts } = KINDS[kind];
    if (mode === 0) context[kind] = fseTable(counts, log);
    if (mode === 1) context[kind] = { states: [{ symbol: bytes[at++], bits: 0, base: 0 }], log: 0 };
    if (mode === 2) {
      const [table, used] = readCounts(bytes.subarray(at), most);
      context[kind] = table;
      at += used;
    }
    refuseUnless(context[kind]);
    return context[kind];
  });
  const bits = new Backward(bytes.subarray(at));
  const states = tables.map((table) => bits.read(table.log));
  const found = [];
  for (let left = n; left > 0; left--) {
    const [literal, offset, match] = tables.map((table, index) => table.states[states[index]].symbol);
    const value = 2 ** offset + bits.read(offset);
    const nMatch = MATCHES[match][0] + bits.read(MATCHES[match][1]);
    const nLiterals = LITERALS[literal][0] + bits.read(LITERALS[literal][1]);
    found.push({ value, nMatch, nLiterals });
    if (left > 1) for (const index of [0, 2, 1]) states[index] = stepOf(tables[index], states[index], bits);
  }
  refuseUnless(bits.at === 0);
  return found;
}

function distanceOf({ value, nLiterals }, recent) {
  if (value > 3) {
    recent.unshift(value - 3);
    recent.pop();
    return recent[0];
  }
  const index = value - 1 + (nLiterals ? 0 : 1);
  const distance = index === 3 ? recent[0] - 1 : recent[index];
  if (index > 0) {
    recent.splice(Math.min(index, 2), 1);
    recent.unshift(distance);
  }
  return distance;
}

function unpackBlock(block, out, context) {
  const [literals, used] = literalsOf(block, context);
  let taken = 0;
  for (const sequence of sequencesOf(block.subarray(used), context)) {
    for (let i = 0; i < sequence.nLiterals; i++) out.push(literals[taken++]);
    const distance = distanceOf(sequence, context.recent);
    refuseUnless(distance > 0 && distance <= out.length);
    for (let i = 0; i < sequence.nMatch; i++) out.push(out[out.length - distance]);
  }
  while (taken < literals.length) out.push(literals[taken++]);
}

// What a frame holds; it says itself how much that is, and more is never made.
export function unpacked(frame) {
  try {
    refuseUnless(frame.readUInt32LE(0) === 0xfd2fb528);
    const descriptor = frame[4];
    const [isSingle, hasChecksum] = [(descriptor >> 5) & 1, (descriptor >> 2) & 1];
    let at = 5 + (isSingle ? 0 : 1) + [0, 1, 2, 4][descriptor & 3];
    const width = [isSingle, 2, 4, 8][descriptor >> 6];
    refuseUnless(width > 0 && width < 8);
    const size = frame.readUIntLE(at, width) + (width === 2 ? 256 : 0);
    at += width;
    const [out, context] = [[], { recent: [1, 4, 8] }];
    for (let isLast = 0; !isLast; ) {
      const header = frame.readUIntLE(at, 3);
      isLast = header & 1;
      const [kind, n] = [(header >> 1) & 3, header >> 3];
      const block = frame.subarray(at + 3, at + 3 + (kind === 1 ? 1 : n));
      refuseUnless(kind < 3 && block.length === (kind === 1 ? 1 : n) && out.length <= size);
      if (kind === 2) unpackBlock(block, out, context);
      else for (let i = 0; i < n; i++) out.push(block[kind === 1 ? 0 : i]);
      at += 3 + block.length;
    }
    refuseUnless(out.length === size && at + 4 * hasChecksum === frame.length);
    return Buffer.from(out);
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) throw new Damaged(error.message);
    throw error;
  }
}
