// What comes from outside: texts, names of files, sound; and whose turn it is.

import { createHash } from "node:crypto";

import { Refused, sha256 } from "./canonical.mjs";

function cleaned({ text, times }) {
  const whole = text.repeat(times);
  const characters = [...whole];
  if (characters.length > 2000) throw new Refused("text-too-long");
  let marks = 0;
  for (const character of characters) {
    if ("\t\n\r".includes(character)) continue;
    if (/[\p{Cc}\p{Cs}\p{Co}\p{Cn}]/u.test(character)) throw new Refused("text-characters");
    if (/\p{Cf}/u.test(character) && !"\u200c\u200d".includes(character)) throw new Refused("text-characters");
    marks = /[\p{Mn}\p{Me}]/u.test(character) ? marks + 1 : 0;
    if (marks > 4) throw new Refused("text-characters");
  }
  const kept = whole.normalize("NFC").split(/\s+/u).filter(Boolean).join(" ");
  if (!/[\p{L}\p{N}]/u.test(kept)) throw new Refused("text-empty");
  return times === 1 ? { text: kept } : { n_characters: [...kept].length };
}

const NAME = "[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?";
const PATH = new RegExp(`^${NAME}(?:/${NAME}){0,7}$`);

function judged({ paths }) {
  if (!paths.every((path) => path.length <= 200 && PATH.test(path))) throw new Refused("path");
  const files = new Set();
  for (const path of ["manifest.json", ...paths]) {
    if (files.has(path.toLowerCase())) throw new Refused("conflict");
    files.add(path.toLowerCase());
  }
  const folders = new Map();
  for (const path of paths) {
    const parts = path.split("/");
    for (let depth = 1; depth < parts.length; depth++) {
      const folder = parts.slice(0, depth).join("/");
      const known = folders.get(folder.toLowerCase()) ?? folder;
      if (files.has(folder.toLowerCase()) || known !== folder) throw new Refused("conflict");
      folders.set(folder.toLowerCase(), folder);
    }
  }
  return { accepted: true };
}

function chunksOf(content) {
  const word = (at) => content.toString("latin1", at, at + 4);
  if (["RF64", "RIFX", "BW64", "riff"].includes(word(0))) throw new Refused("wav-container");
  if (content.length < 12 || word(0) !== "RIFF" || word(8) !== "WAVE") throw new Refused("wav-not-riff");
  const stated = 8 + content.readUInt32LE(4);
  const chunks = [];
  let at = 12;
  while (at < content.length) {
    if (at === stated && chunks.length) return [chunks, "wav-trailing-bytes"];
    const name = word(at);
    if (content.length - at < 8 || !/^[\x20-\x7e]{4}$/.test(name)) return [chunks, "wav-chunks"];
    const size = content.readUInt32LE(at + 4);
    chunks.push({ name, start: at + 8, size });
    at += 8 + size;
    if (at > content.length) return [chunks, name === "data" ? "wav-truncated" : "wav-chunks"];
    if (size % 2 && at < content.length && content[at++] !== 0) return [chunks, "wav-padding"];
  }
  const isPadded = chunks.length && chunks[chunks.length - 1].size % 2;
  if (stated !== content.length && !(stated === content.length + 1 && isPadded)) return [chunks, "wav-riff-size"];
  return [chunks, null];
}

function headerOf(content) {
  const [chunks, ending] = chunksOf(content);
  const named = (name) => chunks.filter((chunk) => chunk.name === name);
  const [formats, datas] = [named("fmt "), named("data")];
  if (ending && !(formats.length && datas.length)) throw new Refused(ending);
  if (formats.length !== 1) throw new Refused(formats.length ? "wav-two-formats" : "wav-no-format");
  if (datas.length !== 1) throw new Refused(datas.length ? "wav-two-data" : "wav-no-data");
  const [format, data] = [formats[0], datas[0]];
  if (data.start < format.start) throw new Refused("wav-format-after-data");
  if (format.size < 16 || format.start + format.size > content.length) throw new Refused("wav-chunks");
  let tag = content.readUInt16LE(format.start);
  const channels = content.readUInt16LE(format.start + 2);
  const rate = content.readUInt32LE(format.start + 4);
  const block = content.readUInt16LE(format.start + 12);
  const bits = content.readUInt16LE(format.start + 14);
  if (tag === 0xfffe) {
    const tail = content.toString("hex", format.start + 26, format.start + 40);
    if (format.size < 40 || tail !== "000000001000800000aa00389b71") throw new Refused("wav-codec");
    if (content.readUInt16LE(format.start + 18) !== bits) throw new Refused("wav-bits");
    tag = content.readUInt16LE(format.start + 24);
  }
  if (tag !== 1 && tag !== 3) throw new Refused("wav-codec");
  if (channels < 1 || channels > 2) throw new Refused("wav-channels");
  if (rate < 8000 || rate > 48000) throw new Refused("wav-rate");
  if (!(tag === 1 ? [16, 24, 32] : [32]).includes(bits)) throw new Refused("wav-bits");
  if (block !== (channels * bits) / 8 || content.readUInt32LE(format.start + 8) !== block * rate) {
    throw new Refused("wav-block");
  }
  const frames = Math.floor(data.size / block);
  if (data.size % block) throw new Refused("wav-partial-frame");
  if (frames === 0) throw new Refused("wav-empty");
  if (ending) throw new Refused(ending);
  for (const fact of named("fact")) {
    const said = fact.size >= 4 ? content.readUInt32LE(fact.start) : frames;
    if (said !== frames && said !== frames * channels) throw new Refused("wav-duration");
  }
  return { isFloat: tag === 3, channels, rate, bits, frames, start: data.start };
}

function halfEven(number) {
  const low = Math.floor(number);
  const rest = number - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low;
}

function canonical({ wav }) {
  const content = Buffer.from(wav, "base64");
  const { isFloat, channels, bits, frames, start } = headerOf(content);
  const width = bits / 8;
  const samples = Array.from({ length: frames * channels }, (_, n) => {
    const at = start + n * width;
    return isFloat ? content.readFloatLE(at) : Math.fround(content.readIntLE(at, width) / 2 ** (bits - 1));
  });
  if (!samples.every(Number.isFinite)) throw new Refused("wav-not-finite");
  if (samples.some((sample) => Math.abs(sample) > 16)) throw new Refused("wav-out-of-range");
  const kept = Buffer.alloc(44 + frames * 2);
  kept.write("RIFF", 0, "latin1");
  kept.writeUInt32LE(36 + frames * 2, 4);
  kept.write("WAVEfmt ", 8, "latin1");
  kept.writeUInt32LE(16, 16);
  [1, 1].forEach((word, n) => kept.writeUInt16LE(word, 20 + 2 * n));
  [16000, 32000].forEach((word, n) => kept.writeUInt32LE(word, 24 + 4 * n));
  [2, 16].forEach((word, n) => kept.writeUInt16LE(word, 32 + 2 * n));
  kept.write("data", 36, "latin1");
  kept.writeUInt32LE(frames * 2, 40);
  for (let n = 0; n < frames; n++) {
    const [left, right] = [samples[n * channels], samples[n * channels + 1]];
    const sample = channels === 2 ? Math.fround(Math.fround(left + right) / 2) : left;
    kept.writeInt16LE(Math.max(-32768, Math.min(32767, halfEven(sample * 32768))), 44 + 2 * n);
  }
  return { sha256: sha256(kept), size_bytes: kept.length, duration_s: frames / 16000 };
}

function bucketOf(salt, device) {
  const digest = createHash("sha256").update(`${salt}:${device}`).digest();
  return Number(digest.readBigUInt64BE() % 10000n);
}

function turn({ device, seq, plan, state, now, is_asking_early: isEarly }) {
  const known = state && state.seq === seq ? state : null;
  const said = (cohort, open, isHalted = false, reason = null) => ({
    cohort,
    open_buckets: open,
    is_halted: isHalted,
    reason,
    may_install: cohort === "treated" || cohort === "canary",
  });
  if (known?.is_halted) return said(null, 0, true, known.reason ?? null);
  if (!plan) return said("treated", 10000);
  const begun = plan.stages.filter((stage) => Date.parse(stage.not_before) <= Date.parse(now));
  const open = Math.min(Math.max(0, ...begun.map((stage) => stage.max_buckets)), known ? known.buckets : 0);
  const bucket = bucketOf(plan.salt, device);
  if (bucket < open) return said("treated", open);
  if (isEarly) return said("canary", open);
  return said(bucket < open * 11 ? "control" : null, open);
}

export const topics = {
  "text/policy": cleaned,
  "packages/paths": judged,
  "wav/canonical": canonical,
  "rollout/buckets": ({ salt, device }) => ({ bucket: bucketOf(salt, device) }),
  "rollout/turns": turn,
};
