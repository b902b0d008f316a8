// A small client of signed metadata (The Update Framework 1.0) and of releases, for the vectors in updates/.

import { verify } from "node:crypto";

import { canonicalBytes, Refused, sha256 } from "./canonical.mjs";
import { ed25519Key } from "./signing.mjs";

const META = "/tuf/metadata/";
const CAPS = { root: 32768, timestamp: 4096, snapshot: 16384, targets: 131072 };
const MOST_DOCUMENT = 262144;
const DAY_MS = 86_400_000;
const MOST_READ = 4_000_000;
const DEFAULT_TIER = "float16";

const refuseUnless = (isTrue, reason) => {
  if (!isTrue) throw new Refused(reason);
};

// JSON in which no name stands twice in one object.
function plainJson(bytes) {
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    JSON.parse(text);
  } catch {
    throw new Refused("malformed");
  }
  const open = [];
  const tokens = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g;
  for (let found, name = null; (found = tokens.exec(text)); ) {
    const token = found[0];
    if (token === "{" || token === "[") open.push(token === "{" ? new Set() : null);
    else if (token === "}" || token === "]") open.pop();
    else if (token[0] === '"') name = JSON.parse(token);
    else if (token === ":") {
      const names = open[open.length - 1];
      refuseUnless(!names.has(name), "malformed");
      names.add(name);
    }
  }
  return JSON.parse(text);
}

function signedForm(value) {
  if (Array.isArray(value)) return `[${value.map(signedForm).join(",")}]`;
  if (typeof value === "string") return `"${value.replace(/[\\"]/g, "\\$&")}"`;
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") {
    refuseUnless(Number.isSafeInteger(value), "malformed");
    return String(value);
  }
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${signedForm(key)}:${signedForm(value[key])}`).join(",")}}`;
}

// What a file of metadata says, if it is one of this kind; its signatures are looked at by whoever knows the keys.
function metadataIn(bytes, kind) {
  const { signed, signatures } = plainJson(bytes);
  refuseUnless(signed && Array.isArray(signatures) && signed._type === kind, "malformed");
  refuseUnless(/^1\./.test(signed.spec_version), "malformed");
  refuseUnless(Number.isSafeInteger(signed.version) && signed.version >= 1, "malformed");
  refuseUnless(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(signed.expires), "malformed");
  refuseUnless(new Set(signatures.map((one) => one.keyid)).size === signatures.length, "malformed");
  return { signed, signatures, expires: Date.parse(signed.expires) };
}

function requireSigned(metadata, keys, { keyids, threshold }) {
  const content = Buffer.from(signedForm(metadata.signed));
  const good = metadata.signatures.filter(({ keyid, sig }) => {
    if (!keyids.includes(keyid) || keys[keyid]?.keytype !== "ed25519") return false;
    const key = ed25519Key(Buffer.from(keys[keyid].keyval.public, "hex"));
    return verify(null, content, key, Buffer.from(sig, "hex"));
  });
  refuseUnless(good.length >= threshold, "signature");
}

const isMatch = (pattern, path) => {
  const [wanted, parts] = [pattern.split("/"), path.split("/")];
  const glob = (text) => new RegExp(`^${text.replace(/[.+^${}()|\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".")}$`);
  return wanted.length === parts.length && wanted.every((one, n) => glob(one).test(parts[n]));
};

const versionNumbers = (text) => {
  refuseUnless(/^\d{1,6}\.\d{1,6}\.\d{1,6}$/.test(text), "mismatch");
  return text.split(".").map(Number);
};

const isNewer = (one, other) => {
  const [a, b] = [versionNumbers(one), versionNumbers(other)];
  const differs = a.findIndex((number, n) => number !== b[n]);
  return differs >= 0 && a[differs] > b[differs];
};

export class Device {
  constructor({ channel, tier, runtime, root }, pool) {
    Object.assign(this, { channel, tier, runtime, pool, seq: 0 });
    this.stored = {};
    this.root = metadataIn(this.bytesOf(root), "root");
    requireSigned(this.root, this.root.signed.keys, this.root.signed.roles.root);
  }

  bytesOf(name) {
    const { text, base64 } = this.pool[name];
    return text === undefined ? Buffer.from(base64, "base64") : Buffer.from(text);
  }

  // At most so many bytes; null where there is no such file.
  fetch(path, most) {
    const name = this.files[path];
    if (name === undefined) return null;
    let content;
    if (typeof name === "string") content = this.bytesOf(name);
    else {
      const begin = name.after === undefined ? Buffer.alloc(0) : this.bytesOf(name.after);
      content = Buffer.concat([begin, Buffer.alloc(Math.max(0, Math.min(name.bytes, most + 1 - begin.length)), name.repeat)]);
    }
    this.nRead += Math.min(content.length, most + 1);
    return content.subarray(0, most + 1);
  }

  visit(files, clock) {
    Object.assign(this, { files, now: Date.parse(clock), nRead: 0 });
    try {
      this.refresh();
      const release = this.release();
      this.rollout();
      if (release === null) throw new Refused("nothing");
      if (release.seq === this.seq) return "current";
      this.install(release);
      return "accepted";
    } catch (error) {
      if (error instanceof Refused) return error.reason === "contract" ? "malformed" : error.reason;
      throw error;
    } finally {
      if (this.nRead > MOST_READ) throw new Error(`read ${this.nRead} bytes`);
    }
  }

  require(content, cap) {
    refuseUnless(content !== null, "wire");
    refuseUnless(content.length <= cap, "malformed");
    return content;
  }

  refresh() {
    for (let n = 0; n < 256; n++) {
      const next = this.root.signed.version + 1;
      const content = this.fetch(`${META}${next}.root.json`, CAPS.root);
      if (content === null) break;
      const found = metadataIn(this.require(content, CAPS.root), "root");
      requireSigned(found, this.root.signed.keys, this.root.signed.roles.root);
      refuseUnless(found.signed.version === next, "rollback");
      requireSigned(found, found.signed.keys, found.signed.roles.root);
      this.root = found;
    }
    refuseUnless(this.root.expires > this.now, "expired");
    this.timestamp();
    this.snapshot();
    this.targets = this.role("targets", this.root.signed);
    refuseUnless(this.stored.timestamp.expires - this.now <= 8 * DAY_MS, "expired");
  }

  // What was stored counts only if the keys of now signed it: a root with new ones takes it back.
  believed(kind) {
    const stored = this.stored[kind];
    try {
      if (stored) requireSigned(stored, this.root.signed.keys, this.root.signed.roles[kind]);
      return stored ?? null;
    } catch {
      return null;
    }
  }

  timestamp() {
    const { keys, roles } = this.root.signed;
    const found = metadataIn(this.require(this.fetch(`${META}timestamp.json`, CAPS.timestamp), CAPS.timestamp), "timestamp");
    requireSigned(found, keys, roles.timestamp);
    const before = this.believed("timestamp");
    if (before) {
      refuseUnless(found.signed.version >= before.signed.version, "rollback");
      const [now, then] = [found, before].map((one) => one.signed.meta["snapshot.json"].version);
      refuseUnless(now >= then, "rollback");
    }
    refuseUnless(found.expires > this.now, "expired");
    this.stored.timestamp = found;
  }

  // A file that another one lists: its length and digest if they are said, its version always.
  listed(name, meta, kind, keys, role) {
    const content = this.require(this.fetch(`${META}${meta.version}.${name}.json`, meta.length ?? CAPS[kind]), Infinity);
    refuseUnless(content.length <= (meta.length ?? CAPS[kind]), meta.length === undefined ? "malformed" : "mismatch");
    refuseUnless(meta.length === undefined || content.length === meta.length, "mismatch");
    if (meta.hashes) refuseUnless(sha256(content) === meta.hashes.sha256, "mismatch");
    const found = metadataIn(content, kind);
    requireSigned(found, keys, role);
    refuseUnless(found.signed.version === meta.version, "rollback");
    return found;
  }

  snapshot() {
    const { keys, roles } = this.root.signed;
    const meta = this.stored.timestamp.signed.meta["snapshot.json"];
    const found = this.listed("snapshot", meta, "snapshot", keys, roles.snapshot);
    for (const [name, { version }] of Object.entries(this.believed("snapshot")?.signed.meta ?? {})) {
      refuseUnless(name in found.signed.meta && found.signed.meta[name].version >= version, "rollback");
    }
    refuseUnless(found.expires > this.now, "expired");
    this.stored.snapshot = found;
  }

  role(name, delegating) {
    const meta = this.stored.snapshot.signed.meta[`${name}.json`];
    refuseUnless(meta, "malformed");
    const role = delegating.roles[name] ?? delegating.roles.find((one) => one.name === name);
    const found = this.listed(name, meta, "targets", delegating.keys, role);
    refuseUnless(found.expires > this.now, "expired");
    return found.signed;
  }

  find(path) {
    if (this.targets.targets[path]) return this.targets.targets[path];
    for (const { name, paths, terminating } of this.targets.delegations?.roles ?? []) {
      if (!paths.some((pattern) => isMatch(pattern, path))) continue;
      const found = this.role(name, this.targets.delegations).targets[path];
      if (found || terminating) return found ?? null;
    }
    return null;
  }

  document(path, { hashes, length }) {
    refuseUnless(Object.keys(hashes).join() === "sha256" && length <= MOST_DOCUMENT, "mismatch");
    const at = path.lastIndexOf("/") + 1;
    const content = this.fetch(`/tuf/targets/${path.slice(0, at)}${hashes.sha256}.${path.slice(at)}`, length);
    this.require(content, Infinity);
    refuseUnless(content.length === length && sha256(content) === hashes.sha256, "mismatch");
    return plainJson(content);
  }

  release() {
    for (const tier of new Set([this.tier, DEFAULT_TIER])) {
      const path = `${this.channel}/${tier}/release.json`;
      const target = this.find(path);
      if (target === null) continue;
      const offer = JSON.parse(canonicalBytes("ReleaseOffer", target.custom ?? {}));
      refuseUnless(offer.channel === this.channel && offer.tier === tier, "mismatch");
      refuseUnless(offer.seq >= this.seq && offer.seq <= this.seq + 100_000, "rollback");
      refuseUnless(!isNewer(offer.min_runtime, this.runtime), "mismatch");
      const manifest = JSON.parse(canonicalBytes("ReleaseManifest", this.document(path, target)));
      refuseUnless(Object.keys(offer).every((name) => offer[name] === manifest[name]), "mismatch");
      return manifest;
    }
    return null;
  }

  rollout() {
    const path = `${this.channel}/rollout.json`;
    const target = this.find(path);
    if (target !== null) this.document(path, target);
  }

  install({ seq, files, package_sha256: digest, package_size_bytes: size }) {
    const answer = this.fetch(`/v1/releases/${digest}.zip`, size);
    refuseUnless(answer !== null && answer.length >= size, "wire");
    const content = answer.subarray(0, size); // what goes on behind the signed length is not read
    refuseUnless(sha256(content) === digest, "mismatch");
    const found = unzipped(content);
    refuseUnless(found.size === files.length, "mismatch");
    for (const { path, sha256: expected, size_bytes: length } of files) {
      refuseUnless(found.get(path)?.length === length && sha256(found.get(path)) === expected, "mismatch");
    }
    this.seq = seq;
  }
}

// Stored files of a zip, by name.
function unzipped(zip) {
  const end = zip.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
  refuseUnless(end >= 0, "mismatch");
  const found = new Map();
  let at = zip.readUInt32LE(end + 16);
  for (let n = 0; n < zip.readUInt16LE(end + 10); n++) {
    refuseUnless(zip.readUInt32LE(at) === 0x02014b50 && zip.readUInt16LE(at + 10) === 0, "mismatch");
    const lengths = [28, 30, 32].map((offset) => zip.readUInt16LE(at + offset));
    const name = zip.toString("utf8", at + 46, at + 46 + lengths[0]);
    const local = zip.readUInt32LE(at + 42);
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    refuseUnless(!found.has(name), "mismatch");
    found.set(name, zip.subarray(start, start + zip.readUInt32LE(at + 24)));
    at += 46 + lengths[0] + lengths[1] + lengths[2];
  }
  return found;
}

const kindOf = (verdict) => (["accepted", "current"].includes(verdict) ? verdict : "refused");

// Whether a device with this past ends where the vector says; the word for a refusal may be another.
export function follows(vector, pool) {
  const device = new Device(vector.device, pool);
  for (const { files, clock } of vector.earlier) {
    const verdict = device.visit(files, clock);
    if (kindOf(verdict) === "refused") return { problem: `its past is refused: ${verdict}` };
  }
  const verdict = device.visit(vector.files, vector.clock);
  const isSame = kindOf(verdict) === kindOf(vector.expected.verdict) && device.seq === vector.expected.seq;
  return { isSame, isSameWord: verdict === vector.expected.verdict, problem: `${verdict}, seq ${device.seq}` };
}
