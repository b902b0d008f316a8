"""Attacks on updates, and honest servers beside them: each a set of files, a device with a past, a clock and a verdict.

`python -m tests.conformance.update_vectors --write` makes `vectors/updates/` from these, always the same bytes.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from securesystemslib.signer import Signature
from tests.conformance.update_cases import (
    EVIL,
    META,
    NEW,
    OLD,
    PATH,
    T0,
    T1,
    VECTORS,
    Files,
    Vector,
    add,
    custom,
    edited,
    evil_next,
    honest,
    manifest,
    model,
    next_one,
    package_path,
    past,
    shown,
    zip_of,
)
from tests.fakes.signed_metadata import Shelf, signer
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, TargetFile

from projectone.contracts.base import canonical_json, sha256_hex


def tampering() -> None:
    """Bytes changed on their way, by somebody without a key."""
    files = shown(next_one(), NEW)
    package = package_path(NEW)
    add("tampering", "package-byte", files | {package: bytes([NEW[0] ^ 1]) + NEW[1:]}, "mismatch")
    add("tampering", "package-swapped", files | {package: EVIL[: len(NEW)].ljust(len(NEW), b"x")}, "mismatch")
    add("tampering", "package-cut", files | {package: NEW[:-1]}, "wire")
    document = next(path for path in files if path.endswith(".release.json") and b'"seq":6' in files[path])
    add("tampering", "manifest-changed", files | {document: files[document].replace(b"1.6.0", b"1.9.0")}, "mismatch")
    for role, version in (("timestamp", ""), ("snapshot", "2."), ("targets", "2.")):
        path = f"{META}{version}{role}.json"

        def later(document: dict[str, Any]) -> None:
            document["signed"]["expires"] = "2027-11-22T12:00:00Z"

        expected = "signature" if role == "timestamp" else "mismatch"
        add("tampering", f"{role}-changed", files | {path: edited(files[path], later)}, expected)
    other = next_one(seq=6)
    other.release(manifest(6, "new", package=zip_of(model("evil"))))
    add("tampering", "files-not-of-the-manifest", shown(other, EVIL), "mismatch")


def endless() -> None:
    """Answers without an end: what is read of them is bounded."""
    files = shown(next_one(), NEW)
    document = next(path for path in files if path.endswith(".release.json") and b'"seq":6' in files[path])
    stream = {"repeat": " ", "bytes": 50_000_000}
    for name in ("timestamp", "2.snapshot", "2.targets", "2.root"):
        add("endless", f"{name.removeprefix('2.')}-endless", files | {f"{META}{name}.json": stream}, "malformed")
    add("endless", "manifest-endless", files | {document: stream}, "malformed")
    add(
        "endless",
        "timestamp-padded",
        files | {f"{META}timestamp.json": files[f"{META}timestamp.json"] + b" " * 5000},
        "mismatch",
    )
    large = next_one()
    large.list(PATH, manifest(6, "new").to_bytes() + b" " * 300_000, custom(6))
    files_of_it = shown(large, NEW)  # refused by what the list says, so nobody needs the bytes
    add("endless", "manifest-too-large", {p: c for p, c in files_of_it.items() if len(c) < 9000}, "mismatch")
    add(
        "endless",
        "package-goes-on",
        files | {package_path(NEW): {"repeat": "x", "bytes": 50_000_000, "after": NEW}},
        "accepted",
        seq=6,
    )


def rollbacks() -> None:
    """What was true once is shown again, by replay or with stolen online keys."""
    later = next_one()
    seen = [(T0, past()[0][1]), (T1, shown(later, NEW))]
    now = T1 + timedelta(hours=1)
    add("rollback", "timestamp-replayed", shown(honest(), OLD, 9), "rollback", earlier=seen, clock=now, seq=6)

    def stolen(**versions: int) -> Shelf:
        shelf = honest(at=T1)
        shelf.versions.update(versions)
        return shelf

    back = stolen(timestamp=3, snapshot=1)
    add("rollback", "snapshot-by-timestamp-key", shown(back, OLD, 9), "rollback", earlier=seen, clock=now, seq=6)
    back = stolen(timestamp=3, snapshot=3, targets=1)
    add("rollback", "targets-by-online-keys", shown(back, OLD, 9), "rollback", earlier=seen, clock=now, seq=6)
    advanced = next_one()
    advanced.roll_out("stable", b'{"percent":0}')
    advanced.versions["rollout"] = 2
    back = next_one()
    back.versions.update(timestamp=3, snapshot=3, rollout=1)
    add(
        "rollback",
        "rollout-by-online-keys",
        shown(back, NEW, 9),
        "rollback",
        earlier=[(T0, past()[0][1]), (T1, shown(advanced, NEW))],
        clock=now,
        seq=6,
    )
    root = {f"{META}2.root.json": Shelf(T0).roots[0]}
    add("rollback", "root-replayed", shown(next_one(), NEW) | root, "rollback")
    add(
        "rollback", "older-release-still-listed", shown(next_one("ancient", 4), zip_of(model("ancient")), 9), "rollback"
    )
    add("rollback", "number-line-used-up", shown(next_one("evil", 2**31), EVIL, 2**31), "rollback")
    add("rollback", "just-out-of-proportion", shown(next_one("evil", 5 + 100_001), EVIL, 5 + 100_001), "rollback")


def freezes() -> None:
    """The same answer for ever: each role's date ends it."""
    old = shown(honest(), OLD, 9)
    add("freeze", "timestamp-expired", old, "expired", clock=T0 + timedelta(hours=25))
    for role, days in (("snapshot", 8), ("rollout", 8), ("targets", 91), ("root", 366)):
        clock = T0 + timedelta(days=days)
        shelf = honest()
        ended = shelf.now + timedelta(days=1)
        shelf.now = clock
        shelf.expiries[role] = ended
        for other in ("targets", "snapshot", "timestamp", "rollout"):
            shelf.versions[other] = 2
        if role == "root":
            shelf.expiries.clear()
        shelf.release(manifest(6, "new"))
        files = shown(shelf, NEW, 9)
        add("freeze", f"{role}-expired", files, "expired", clock=clock)
    add("freeze", "clock-a-year-ahead", shown(next_one(), NEW), "expired", clock=T1 + timedelta(days=365))
    add("freeze", "clock-a-year-behind", shown(next_one(), NEW), "expired", clock=T1 - timedelta(days=365), earlier=[])
    forever = next_one()
    forever.expiries["timestamp"] = T1 + timedelta(days=3650)
    add("freeze", "timestamp-key-signs-for-ever", shown(forever, NEW), "expired")


def mixtures() -> None:
    """Pieces that are each signed, and do not belong together."""
    old, new = honest(), next_one()
    files = shown(new, NEW)
    add("mix", "old-snapshot-under-new-name", files | {f"{META}2.snapshot.json": old.snapshot()}, "mismatch")
    add("mix", "old-targets-under-new-name", files | {f"{META}2.targets.json": old.targets()}, "mismatch")
    twin = next_one("twin", 6)
    add("mix", "targets-of-a-twin", files | {f"{META}2.targets.json": twin.targets()}, "mismatch")
    add("mix", "snapshot-of-a-twin", files | {f"{META}2.snapshot.json": twin.snapshot()}, "mismatch")
    documents = [path for path in files if path.endswith(".release.json")]
    five, six = sorted(documents, key=lambda path: b'"seq":6' in files[path])
    add("mix", "old-manifest-under-new-name", files | {six: files[five]}, "mismatch")
    add("mix", "snapshot-as-timestamp", files | {f"{META}timestamp.json": new.snapshot()}, "malformed")


def forgeries() -> None:
    """Signed by nobody, by strangers, or by a key for something else."""
    thief = evil_next()
    thief.keys = {role: ["thief"] for role in thief.keys}
    add("forged", "everything-by-a-stranger", shown(thief, EVIL, 7), "signature")
    files = shown(evil_next(), EVIL, 7)
    unsigned = edited(files[f"{META}timestamp.json"], lambda document: document.update(signatures=[]))
    add("forged", "no-signature", files | {f"{META}timestamp.json": unsigned}, "signature")
    spoofed = json.loads(thief.timestamp())
    spoofed["signatures"][0]["keyid"] = signer("timestamp").public_key.keyid
    add("forged", "key-id-spoofed", files | {f"{META}timestamp.json": json.dumps(spoofed).encode()}, "signature")
    crossed = evil_next()
    crossed.keys["targets"] = ["rollout"]
    add("forged", "targets-by-the-rollout-key", shown(crossed, EVIL, 7), "signature")
    crossed = evil_next()
    crossed.keys["timestamp"] = ["snapshot"]
    add("forged", "timestamp-by-the-snapshot-key", shown(crossed, EVIL, 7), "signature")
    crossed = next_one()
    crossed.keys["rollout"] = ["thief"]
    crossed.delegations = next_one().delegations or _delegation("rollout")
    crossed.versions["rollout"] = 2
    add("forged", "rollout-by-a-stranger", shown(crossed, NEW), "signature")


def _delegation(key: str, name: str = "rollout", paths: tuple[str, ...] = ("*/rollout.json",)) -> Delegations:
    public = signer(key).public_key
    role = DelegatedRole(name, [public.keyid], 1, terminating=True, paths=list(paths))
    return Delegations({public.keyid: public}, {name: role})


def thefts() -> None:
    """Some keys are stolen, and not enough of them."""
    stolen = evil_next()
    stolen.keys.update(targets=["thief"], snapshot=["thief"])
    add("stolen", "timestamp-key-alone", shown(stolen, EVIL, 7), "signature")
    stolen = evil_next()
    stolen.keys["targets"] = ["thief"]
    add("stolen", "snapshot-and-timestamp-keys", shown(stolen, EVIL, 7), "signature")
    for name, keys, signed_by, threshold in (
        ("one-root-key", ("thief-1", "thief-2", "thief-3"), ("root-1", "thief-1", "thief-2"), 2),
        ("threshold-lowered-by-one", ("root-1", "root-2", "root-3"), ("root-1",), 1),
        ("one-root-key-twice", ("root-1", "root-2", "root-3"), ("root-1", "root-1"), 2),
        ("new-root-by-new-keys-alone", ("thief-1", "thief-2", "thief-3"), ("thief-1", "thief-2", "thief-3"), 2),
    ):
        stolen = evil_next()
        stolen.keys = {role: ["thief"] for role in stolen.keys}
        if name == "one-root-key-twice":
            root = json.loads(stolen.add_root(keys, signed_by=("root-1",), threshold=threshold))
            root["signatures"] *= 2
            stolen.roots[-1] = json.dumps(root).encode()
        else:
            stolen.add_root(keys, signed_by=signed_by, threshold=threshold)
        add("stolen", name, shown(stolen, EVIL, 7), "malformed" if "twice" in name else "signature")
    unproved = evil_next()
    unproved.add_root(("thief-1", "thief-2", "thief-3"), signed_by=("root-1", "root-2"))
    add("stolen", "new-root-that-did-not-sign-itself", shown(unproved, EVIL, 7), "signature")
    skipped = evil_next()
    skipped.add_root(signed_by=("root-1", "root-2"), version=3)
    add("stolen", "root-skipped", shown(skipped, EVIL, 7), "rollback")
    listing = next_one("new", 6)
    evil = manifest(7, "evil").to_bytes()
    listing.rollouts[PATH] = TargetFile(len(evil), {"sha256": sha256_hex(evil)}, PATH, {"custom": custom(7)})
    listing.versions["rollout"] = 2
    files = shown(listing, EVIL, 7) | {package_path(NEW): NEW}
    files[f"/tuf/targets/stable/float16/{sha256_hex(evil)}.release.json"] = evil
    add("stolen", "rollout-key-lists-a-model", files, "accepted", seq=6)
    listing = Shelf(T1)
    listing.rollouts[PATH] = TargetFile(len(evil), {"sha256": sha256_hex(evil)}, PATH, {"custom": custom(7)})
    files = shown(listing, EVIL, 7)
    files[f"/tuf/targets/stable/float16/{sha256_hex(evil)}.release.json"] = evil
    add("stolen", "rollout-key-lists-the-only-model", files, "nothing", earlier=[], seq=0)
    revoked = evil_next()
    revoked.add_root(signed_by=("root-1", "root-2"), roles=revoked.keys | {"targets": ["targets-2"]})
    add("stolen", "targets-key-after-it-was-revoked", shown(revoked, EVIL, 7), "signature")


def fast_forwards() -> None:
    """Stolen online keys sign the highest versions: honest ones look old, until the root names new keys."""
    for name, roles in (("online-keys", ("snapshot", "timestamp")), ("all-keys", ("targets", "snapshot", "timestamp"))):
        forward = honest(at=T0 + timedelta(minutes=30))
        for role in roles:
            forward.versions[role] = 2**31
        seen = [*past(), (T0 + timedelta(minutes=30), shown(forward, OLD, 9))]
        add("fast-forward", f"{name}-before-recovery", shown(next_one(), NEW, 9), "rollback", earlier=seen)
        recovered = next_one()
        recovered.keys.update({role: [f"{role}-2"] for role in roles})
        recovered.add_root(signed_by=("root-1", "root-3"))
        add("control", f"fast-forward-of-{name}-recovered", shown(recovered, NEW, 9), "accepted", seq=6, earlier=seen)


def wrong_releases() -> None:
    """Listed by the right key, and not for this device, or not what the list says."""
    for name, said, expected in (
        ("channel", {"channel": "beta"}, "mismatch"),
        ("tier", {"tier": "int4"}, "mismatch"),
        ("runtime", {"min_runtime": "9.0.0"}, "mismatch"),
        ("runtime-that-is-none", {"min_runtime": "soon"}, "mismatch"),
        ("number-of-another", {"seq": 8}, "mismatch"),
        ("number-as-text", {"seq": "six"}, "malformed"),
        ("number-below-one", {"seq": 0}, "malformed"),
    ):
        wrong = next_one("evil", 6)
        wrong.release(manifest(6, "evil"), **said)
        add("wrong-release", name, shown(wrong, EVIL), expected)
    bare = next_one("evil", 6)
    bare.listed[PATH].unrecognized_fields.clear()
    add("wrong-release", "nothing-said", shown(bare, EVIL), "malformed")
    none = next_one()
    none.list(PATH, b"[]", custom(6))
    add("wrong-release", "no-manifest", shown(none, EVIL), "malformed")
    for name, hashes in (
        ("md5-alone", {"md5": "0" * 32}),
        ("sha512-alone", {"sha512": "0" * 128}),
        ("two-digests", {"sha512": "0" * 128, "sha256": sha256_hex(manifest(6, "new").to_bytes())}),
    ):
        odd = next_one()
        odd.listed[PATH].hashes = hashes
        add("wrong-release", name, shown(odd, NEW), "mismatch")


def odd_json() -> None:
    """Bytes that two readers could read in two ways, or none can read."""
    files = shown(next_one(), NEW)
    path = f"{META}timestamp.json"
    good = files[path].decode()

    def resigned(change: Callable[[dict[str, Any]], None]) -> bytes:
        document = json.loads(good)
        change(document["signed"])
        made = Metadata.from_bytes(good.encode())
        payload = json.dumps(document["signed"], sort_keys=True, separators=(",", ":")).encode()
        signature: Signature = signer("timestamp").sign(payload)
        made.signatures = {signature.keyid: signature}
        return json.dumps({"signatures": [signature.to_dict()], "signed": document["signed"]}).encode()

    doubled = good.replace('"signed":{', '"signed":{"version":1,', 1)
    two = good.replace('"signatures":', '"signed":{"_type":"timestamp"},"signatures":', 1)
    for name, content in (
        ("cut", good[:-20].encode()),
        ("version-twice", doubled.encode()),
        ("signed-part-twice", two.encode()),
        ("page-of-a-proxy", b"<html>please log in</html>"),
        ("no-utf8", b"\xff\xfe" + good.encode()),
        ("deep", b"[" * 20_000),
        ("empty", b""),
        ("other-major-version", resigned(lambda document: document.update(spec_version="2.0.0"))),
        ("negative-version", resigned(lambda document: document.update(version=-1))),
        ("date-without-zone", resigned(lambda document: document.update(expires="2030-01-01"))),
        ("another-type", resigned(lambda document: document.update(_type="root"))),
    ):
        add("odd-json", name, files | {path: content}, "malformed")


def names() -> None:
    """Names that lead elsewhere, in metadata and in packages."""
    outside = next_one()
    outside.list("../../outside/release.json", b"{}", custom(6))
    outside.list("/etc/release.json", b"{}", custom(6))
    add("names", "listed-outside", shown(outside, NEW), "accepted", seq=6)
    for name, files in (
        ("zip-path-up", {**model("new"), "../../outside": b"x"}),
        ("zip-absolute-path", {**model("new"), "/tmp/outside": b"x"}),
        ("zip-one-more", {**model("new"), "extra.bin": b"x"}),
        ("zip-one-less", {"voice.txt": b"new"}),
        ("zip-backslash", {**model("new"), "..\\outside": b"x"}),
    ):
        package = zip_of(files)
        shelf = next_one()
        shelf.release(manifest(6, "new", package=package))
        add("names", name, shown(shelf, package), "mismatch")
    package = zip_of(model("new") | {"voice.txt": b"\0" * 4_000_000}, zipfile.ZIP_BZIP2)
    shelf = next_one()
    shelf.release(manifest(6, "new", package=package))
    add("names", "zip-bomb", shown(shelf, package), "mismatch")


def controls() -> None:
    """Honest servers: a client that refuses one of these is broken, too."""
    add("control", "first-visit", shown(honest(), OLD, 5), "accepted", seq=5, earlier=[], clock=T0)
    add("control", "next-release", shown(next_one(), NEW), "accepted", seq=6)
    add("control", "nothing-new", past()[0][1], "current")
    for name, notes in (("notes", {"n_words": 100, "n_wrong": 5}), ("notes-of-a-later-kind", {"words": "new"})):
        told = next_one()
        told.list("stable/float16/notes.json", canonical_json(notes), custom(6))
        add("control", f"release-with-{name}", shown(told, NEW), "accepted", seq=6)
    away_notes = {path: content for path, content in shown(told, NEW).items() if not path.endswith(".notes.json")}
    add("control", "release-whose-notes-are-gone", away_notes, "accepted", seq=6)
    add("control", "highest-jump", shown(next_one("new", 100_005), NEW, 100_005), "accepted", seq=100_005)
    walked = next_one()
    walked.add_root(("root-1", "root-2", "root-4"), signed_by=("root-1", "root-2"))
    walked.keys = {role: [f"{role}-2"] for role in walked.keys}
    walked.add_root(("root-1", "root-5", "root-4"), signed_by=("root-1", "root-4"))
    walked.add_root(("root-6", "root-5", "root-4"), signed_by=("root-5", "root-4"))
    add("control", "four-roots", shown(walked, NEW), "accepted", seq=6)
    add("control", "four-roots-first-visit", shown(walked, NEW), "accepted", seq=6, earlier=[])
    away = next_one(at=T0 + timedelta(days=800))
    away.add_root(signed_by=("root-1", "root-2"))
    add("control", "away-for-two-years", shown(away, NEW), "accepted", seq=6, clock=T0 + timedelta(days=800))
    two = next_one()
    two.release(manifest(9, "small", tier="int8"))
    two.release(manifest(9, "other", channel="beta"))
    add("control", "other-tiers-and-channels", shown(two, NEW), "accepted", seq=6)
    add("control", "signed-by-one-more", _one_more(), "accepted", seq=6)


def _one_more() -> Files:
    shelf = next_one()
    shelf.keys["timestamp"] = ["timestamp", "stranger"]
    return shown(shelf, NEW)


def all_vectors() -> list[Vector]:
    """Every vector, in a fixed order."""
    if not VECTORS:
        for part in (tampering, endless, rollbacks, freezes, mixtures, forgeries, thefts, fast_forwards):
            part()
        for part in (wrong_releases, odd_json, names, controls):
            part()
    return VECTORS
