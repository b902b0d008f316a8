// The outbox, the folders that a power cut can leave, and what a start makes of them.

import { plainCanonical, Refused, sha256 } from "./canonical.mjs";

const LONGEST_PAUSE_S = 6 * 3600;
const FIRST = { consent: 0, withdrawal: 1, deletion: 1, sample: 2 };

class Outbox {
  constructor() {
    this.entries = [];
    this.held = null;
  }

  put({ kind, name, consent }) {
    if (this.entries.some((entry) => entry.kind === kind && entry.name === name)) return null;
    this.entries.push({ kind, name, consent, state: "waiting", attempts: 0, due: [0, 0] });
    return null;
  }

  // What is due for certain; the vectors ask at no moment at which chance decides.
  claim({ at_s: at = Infinity }) {
    const ready = this.entries.filter((entry) => {
      if (entry.state !== "waiting") return false;
      if (entry.due[0] > at + LONGEST_PAUSE_S && at !== Infinity) return true; // the clock was set back
      if (at < entry.due[0]) return false;
      if (at < entry.due[1]) throw new Error("the vector leaves this to chance");
      return true;
    });
    ready.sort((a, b) => FIRST[a.kind] - FIRST[b.kind] || a.attempts - b.attempts);
    this.held = ready[0] ?? null;
    if (this.held === null) return null;
    this.held.state = "sending";
    this.held.attempts += 1;
    return `${this.held.kind} ${this.held.name}`;
  }

  leave(state) {
    if (this.held.state !== "sending") return false;
    this.held.state = state;
    return true;
  }

  sent = () => this.leave("sent");
  refused = () => this.leave("refused");
  no_consent = () => this.leave("withdrawn");

  failed({ at_s: at }) {
    const pause = Math.min(LONGEST_PAUSE_S, 30 * 2 ** this.held.attempts);
    if (this.leave("waiting")) this.held.due = [at + pause / 2, at + pause];
    return null;
  }

  restart() {
    const cut = this.entries.filter((entry) => entry.state === "sending");
    cut.forEach((entry) => (entry.state = "waiting"));
    return cut.length;
  }

  withdraw({ consent }) {
    const under = this.entries.filter((entry) => entry.consent === consent);
    const isKnown = under.some((entry) => entry.attempts && ["consent", "sample"].includes(entry.kind));
    under.filter((entry) => entry.kind !== "withdrawal").forEach((entry) => (entry.state = "withdrawn"));
    return isKnown;
  }

  take_back({ name }) {
    const entry = this.entries.find((one) => one.kind === "sample" && one.name === name);
    if (!entry || entry.state === "refused") return false;
    entry.state = "withdrawn";
    if (!entry.attempts) return false;
    this.put({ kind: "deletion", name, consent: entry.consent });
    return true;
  }

  forgotten({ consent }) {
    const entry = this.entries.find((one) => one.kind === "consent" && one.name === consent);
    if (entry?.state === "sent") Object.assign(entry, { state: "waiting", due: [0, 0] });
    return null;
  }
}

function played({ events }) {
  const outbox = new Outbox();
  const after = events.map((event) => {
    const said = outbox[event.event](event);
    return { said, entries: outbox.entries.map((e) => `${e.kind} ${e.name}: ${e.state} ${e.attempts}`) };
  });
  return { after };
}

const copyOf = ({ folders, files }) => ({
  folders: new Map([...folders].map(([node, names]) => [node, new Map(names)])),
  files: new Map(files),
});

function apply(disk, step, share = 1) {
  if (step.op === "bytes") {
    const old = disk.files.get(step.node) ?? Buffer.alloc(0);
    let same = 0;
    while (same < Math.min(old.length, step.bytes.length) && old[same] === step.bytes[same]) same++;
    const cut = share === 1 ? step.bytes.length : same + Math.trunc((step.bytes.length - same) * share);
    disk.files.set(step.node, share === 1 ? step.bytes : Buffer.concat([step.bytes.subarray(0, cut), old.subarray(cut)]));
  }
  for (const { folder, name, node, is_folder: isFolder } of step.changes ?? []) {
    if (!disk.folders.has(folder)) disk.folders.set(folder, new Map());
    if (node === null) {
      disk.folders.get(folder).delete(name);
      continue;
    }
    disk.folders.get(folder).set(name, node);
    const kind = isFolder ? disk.folders : disk.files;
    if (!kind.has(node)) kind.set(node, isFolder ? new Map() : Buffer.alloc(0));
  }
}

function listing(disk, node = 0, prefix = "", found = {}) {
  for (const [name, child] of disk.folders.get(node) ?? []) {
    const isFolder = disk.folders.has(child);
    found[prefix + name] = isFolder ? null : sha256(disk.files.get(child) ?? Buffer.alloc(0));
    if (isFolder) listing(disk, child, `${prefix}${name}/`, found);
  }
  return found;
}

function* losses(steps) {
  const pins = (later, step) =>
    later.op === "fsync" &&
    (step.op === "bytes" ? step.node === later.node : step.changes.some((change) => change.folder === later.node));
  const loose = [...steps.keys()].filter(
    (n) => steps[n].op !== "fsync" && !steps.slice(n + 1).some((later) => pins(later, steps[n])),
  );
  const all = new Set(loose);
  yield [new Set(), null];
  yield [all, null];
  for (const op of ["bytes", "names"]) yield [new Set(loose.filter((n) => steps[n].op === op)), null];
  for (const [position, n] of loose.entries()) {
    yield [new Set([n]), null];
    yield [new Set(loose.filter((other) => other !== n)), null];
    yield [new Set(loose.slice(position)), null];
    if (steps[n].op === "bytes") yield [new Set(), n];
  }
}

function imagesOf({ start, operations, contents }) {
  const bytes = (name) => Buffer.from(contents[name], "base64");
  const disk = {
    folders: new Map(Object.entries(start.folders).map(([n, names]) => [Number(n), new Map(Object.entries(names))])),
    files: new Map(Object.entries(start.files).map(([n, name]) => [Number(n), bytes(name)])),
  };
  const steps = operations.map((step) => (step.op === "bytes" ? { ...step, bytes: bytes(step.content) } : step));
  const images = new Set();
  for (let end = 0; end <= steps.length; end++) {
    const done = steps.slice(0, end);
    for (const [lost, torn] of losses(done)) {
      const made = copyOf(disk);
      done.forEach((step, n) => {
        if (n === torn) apply(made, step, 0.5);
        else if (!lost.has(n)) apply(made, step);
      });
      images.add(sha256(plainCanonical(listing(made))));
    }
  }
  return { images: [...images].sort() };
}

// Installed models as a start finds them: a map from path to bytes, or null for a folder.
class Installed {
  constructor(image) {
    this.image = image;
    const text = image.get("state.json");
    try {
      this.state = text ? JSON.parse(text) : { current: null, previous: null, trial: null, tries: 0, floor: 0 };
    } catch {
      throw new Refused("state");
    }
  }

  isWhole({ folder, manifest_sha256: digest }) {
    const manifest = this.image.get(`releases/${folder}/manifest.json`);
    if (!manifest || sha256(manifest) !== digest) return false;
    return JSON.parse(manifest).files.every(({ path, sha256: expected }) => {
      const content = this.image.get(`releases/${folder}/${path}`);
      return content && sha256(content) === expected;
    });
  }

  slots() {
    return [this.state.current, this.state.previous, this.state.trial].filter(Boolean);
  }

  recover() {
    const { trial, tries } = this.state;
    if (trial && (tries >= 2 || !this.isWhole(trial))) Object.assign(this.state, { trial: null, tries: 0 });
    const kept = this.slots().map((slot) => `releases/${slot.folder}`);
    let bases = new Set();
    try {
      for (const folder of kept) {
        const manifest = JSON.parse(this.image.get(`${folder}/manifest.json`));
        [manifest.base_sha256, ...manifest.updates.map((way) => way.base_sha256)].forEach((base) => bases.add(base));
      }
    } catch {
      bases = null; // one cannot be read: no base is removed
    }
    for (const path of this.image.keys()) {
      const [top, name] = path.split("/");
      const isStray = top === "releases" && name && !kept.includes(`${top}/${name}`);
      const isUnused = top === "bases" && name && bases && !bases.has(name);
      if (isStray || isUnused || top.startsWith(".tmp-")) this.image.delete(path);
    }
  }

  use() {
    while (this.state.current && !this.isWhole(this.state.current)) {
      Object.assign(this.state, { current: this.state.previous, previous: null });
    }
    return this.state.current?.seq ?? null;
  }
}

function started(image) {
  const installed = new Installed(image);
  installed.recover();
  const usable = installed.use();
  const short = (slot) => slot && { folder: slot.folder, seq: slot.seq };
  const { current, previous, trial, tries, floor } = installed.state;
  const left = [...image.keys()].filter((path) => path.split("/").length === 2).sort();
  return { usable, current: short(current), previous: short(previous), trial: short(trial), tries, floor, left };
}

function recovered({ contents, images }) {
  const after = images.map((files) => {
    const image = new Map(
      Object.entries(files).map(([path, name]) => [path, name === null ? null : Buffer.from(contents[name], "base64")]),
    );
    try {
      return started(image);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return { refused: error.reason };
    }
  });
  return { after };
}

export const topics = {
  "outbox/states": played,
  "crash/operations": imagesOf,
  "crash/images": recovered,
};
