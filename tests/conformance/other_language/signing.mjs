// Request signatures, signed documents, Merkle proofs and blind tickets.

import { createHash, createPrivateKey, createPublicKey, constants, sign, verify } from "node:crypto";

import { canonicalBytes, Refused } from "./canonical.mjs";

const hash = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();
const fromHex = (text) => Buffer.from(text, "hex");

// Base64 with one spelling.
export function base64(text, reason) {
  const bytes = Buffer.from(text, "base64");
  if (bytes.toString("base64") !== text) throw new Refused(reason);
  return bytes;
}

export const ed25519Key = (raw) =>
  createPublicKey({ key: Buffer.concat([fromHex("302a300506032b6570032100"), raw]), format: "der", type: "spki" });

function signRequest(given) {
  const seed = Buffer.concat([fromHex("302e020100300506032b657004220420"), fromHex(given.private_key)]);
  const key = createPrivateKey({ key: seed, format: "der", type: "pkcs8" });
  const digest = `sha-256=:${hash(Buffer.from(given.body, "base64")).toString("base64")}:`;
  const components = '("@method" "@path" "@query" "content-digest" "x-device-id" "x-sample")';
  const parameters =
    `${components};created=${given.created_s};nonce="${given.nonce}";keyid="${given.device_id}";alg="ed25519"`;
  const base = [
    `"@method": ${given.method}`,
    `"@path": ${given.path}`,
    `"@query": ?${given.query}`,
    `"content-digest": ${digest}`,
    `"x-device-id": ${given.device_id}`,
    `"x-sample": ${given.sample_header}`,
    `"@signature-params": ${parameters}`,
  ].join("\n");
  const headers = {
    "Content-Digest": digest,
    "X-Device-Id": given.device_id,
    "Signature-Input": `sig1=${parameters}`,
    Signature: `sig1=:${sign(null, Buffer.from(base), key).toString("base64")}:`,
  };
  if (given.sample_header) headers["X-Sample"] = given.sample_header;
  return { signature_base: base, headers };
}

const DOCUMENTS = {
  erasure: ["receipt", "projectone erasure receipt 1\n", "ErasureReceipt"],
  scripts: ["sheet", "projectone script sheet 1\n", "ScriptSheet"],
  checkpoint: ["checkpoint", "projectone audit checkpoint 1\n", "AuditCheckpoint"],
  uses: ["uses", "projectone uses of a sample 1\n", "SampleUses"],
};

function signedBytes(trusted, signed, field, context) {
  const publicKey = trusted[signed.key_id];
  if (publicKey === undefined) throw new Refused("signature");
  const content = base64(signed[field], "signature");
  const signature = base64(signed.signature, "signature");
  const key = ed25519Key(Buffer.from(publicKey, "base64"));
  if (!verify(null, Buffer.concat([Buffer.from(context), content]), key, signature)) throw new Refused("signature");
  return content;
}

function verifyDocument({ kind, trusted, signed }) {
  const [field, context, contract] = DOCUMENTS[kind];
  const content = signedBytes(trusted, signed, field, context);
  // Its canonical form has every field, as a reader of the contract knows it.
  return { value: JSON.parse(canonicalBytes(contract, JSON.parse(content))) };
}

const leafHash = (leaf) => hash(Buffer.from([0]), leaf);
const nodeHash = (left, right) => hash(Buffer.from([1]), left, right);

// RFC 9162, section 2.1.1 and 2.1.3.1, as the recursion there.
function split(n) {
  let size = 1;
  while (size * 2 < n) size *= 2;
  return size;
}

function rootOf(leaves) {
  if (leaves.length === 0) return hash();
  if (leaves.length === 1) return leafHash(leaves[0]);
  const k = split(leaves.length);
  return nodeHash(rootOf(leaves.slice(0, k)), rootOf(leaves.slice(k)));
}

function pathOf(index, leaves) {
  if (leaves.length <= 1) return [];
  const k = split(leaves.length);
  return index < k
    ? [...pathOf(index, leaves.slice(0, k)), rootOf(leaves.slice(k))]
    : [...pathOf(index - k, leaves.slice(k)), rootOf(leaves.slice(0, k))];
}

// The root that a path leads to, from the top down; null if the path has another length than the tree.
function rootBy(leaf, index, n, path) {
  if (n === 1) return path.length === 0 ? leafHash(leaf) : null;
  if (path.length === 0) return null;
  const k = split(n);
  const side = path[path.length - 1];
  const rest = path.slice(0, -1);
  const inner = index < k ? rootBy(leaf, index, k, rest) : rootBy(leaf, index - k, n - k, rest);
  if (inner === null) return null;
  return index < k ? nodeHash(inner, side) : nodeHash(side, inner);
}

const idBytes = (id) => fromHex(id.replaceAll("-", ""));

function isMember({ trusted, proof }) {
  const content = signedBytes(trusted, proof.snapshot, "manifest", "projectone dataset snapshot 1\n");
  const manifest = JSON.parse(content);
  const n = manifest.n_train + manifest.n_dev;
  for (const { index, leaf, path } of proof.places) {
    const flags = Buffer.from([(leaf.is_held_back ? 1 : 0) | (leaf.is_new ? 2 : 0)]);
    const bytes = Buffer.concat([fromHex(leaf.key), fromHex(leaf.commitment), flags]);
    const root = index < n ? rootBy(bytes, index, n, path.map(fromHex)) : null;
    if (root === null || root.toString("hex") !== manifest.merkle_root) throw new Refused("proof");
  }
  const id = idBytes(proof.sample_id);
  const key = hash(Buffer.from("projectone sample key 1\n"), id).toString("hex");
  const own = proof.places.find((place) => place.leaf.key === key);
  if (own) {
    const opening = proof.opening;
    if (opening) {
      const facts = [opening.salt, proof.sample_id, opening.consent_receipt_id, opening.clip_sha256, opening.text_sha256];
      const bytes = facts.map((fact) => fromHex(fact.replaceAll("-", "")));
      const commitment = hash(Buffer.from("projectone sample commitment 1\n"), ...bytes).toString("hex");
      if (commitment !== own.leaf.commitment) throw new Refused("proof");
    }
    return { is_member: true };
  }
  const before = proof.places.filter((place) => place.leaf.key < key);
  const after = proof.places.filter((place) => place.leaf.key > key);
  if (before.length > 1 || after.length > 1) throw new Refused("proof");
  const next = before.length ? before[0].index + 1 : 0;
  if (next !== (after.length ? after[0].index : n)) throw new Refused("proof");
  return { is_member: false };
}

const sha384 = (...parts) => createHash("sha384").update(Buffer.concat(parts)).digest();
const toNumber = (bytes) => BigInt(`0x${bytes.toString("hex") || "0"}`);
const toBytes = (number, length) => fromHex(number.toString(16).padStart(length * 2, "0"));

function power(base, exponent, modulus) {
  let result = 1n;
  for (base %= modulus; exponent > 0n; exponent >>= 1n, base = (base * base) % modulus) {
    if (exponent & 1n) result = (result * base) % modulus;
  }
  return result;
}

function inverse(number, modulus) {
  let [a, b, x, y] = [number % modulus, modulus, 1n, 0n];
  while (b > 0n) [a, b, x, y] = [b, a % b, y, x - (a / b) * y];
  return ((x % modulus) + modulus) % modulus;
}

function rsa(text) {
  const key = createPublicKey({ key: Buffer.from(text, "base64"), format: "der", type: "spki" });
  const { n, e } = key.export({ format: "jwk" });
  return { key, n: toNumber(Buffer.from(n, "base64url")), e: toNumber(Buffer.from(e, "base64url")) };
}

// EMSA-PSS of RFC 8017, 9.1.1.
function encodePss(message, bits, salt) {
  const length = Math.ceil(bits / 8);
  const digest = sha384(Buffer.alloc(8), sha384(message), salt);
  const block = Buffer.concat([Buffer.alloc(length - salt.length - digest.length - 2), Buffer.from([1]), salt]);
  for (let done = 0, counter = 0; done < block.length; counter++) {
    for (const byte of sha384(digest, toBytes(BigInt(counter), 4))) if (done < block.length) block[done++] ^= byte;
  }
  block[0] &= 0xff >> (8 * length - bits);
  return Buffer.concat([block, digest, Buffer.from([0xbc])]);
}

const messageOf = ({ channel, seq, serial }) => `projectone-health-ticket-v1:${channel}:${seq}:${serial}`;

function blind(given, message = messageOf(given)) {
  const { n, e } = rsa(given.ticket_key);
  const length = n.toString(16).length / 2;
  const encoded = toNumber(encodePss(Buffer.from(message), length * 8 - 1, fromHex(given.salt)));
  const blinded = (encoded * power(BigInt(`0x${given.factor}`), e, n)) % n;
  return { message, blinded: toBytes(blinded, length).toString("base64") };
}

function weekly(given) {
  const body = canonicalBytes("QualityReport", given.report);
  return { body: body.toString(), ...blind(given, `projectone-quality-ticket-v1:${hash(body).toString("hex")}`) };
}

function unblind(given) {
  const { key, n } = rsa(given.ticket_key);
  const length = n.toString(16).length / 2;
  const raw = base64(given.blind_signature, "contract");
  if (raw.length !== length || toNumber(raw) <= 1n || toNumber(raw) >= n) throw new Refused("contract");
  const signature = toBytes((toNumber(raw) * inverse(BigInt(`0x${given.factor}`), n)) % n, length);
  const how = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 48 };
  if (!verify("sha384", Buffer.from(messageOf(given)), how, signature)) throw new Refused("signature");
  return { signature: signature.toString("base64") };
}

export const topics = {
  "signing/requests": signRequest,
  "signing/documents": verifyDocument,
  "proofs/trees": ({ leaves }) => {
    const bytes = leaves.map(fromHex);
    const paths = bytes.map((_, index) => pathOf(index, bytes).map((step) => step.toString("hex")));
    return { root: rootOf(bytes).toString("hex"), paths };
  },
  "proofs/membership": isMember,
  "health/blinding": (given) => blind(given),
  "quality/tickets": weekly,
  "health/tickets": unblind,
};
