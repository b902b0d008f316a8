"""What update vectors are made of: an honest server, its releases, and a device with a past."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.signed_metadata import Shelf

from projectone.contracts.base import canonical_json, sha256_hex
from projectone.contracts.releases import ReleaseFile, ReleaseManifest

T0 = datetime(2026, 11, 22, 12, tzinfo=UTC)
T1 = T0 + timedelta(hours=1)
PATH = "stable/float16/release.json"
META = "/tuf/metadata/"
Files = dict[str, Any]


def zip_of(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A package with dates that do not change."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


def model(text: str) -> dict[str, bytes]:
    """The files of a model that hears `text`."""
    return {"voice.txt": text.encode(), "weights.bin": b"w"}


def manifest(seq: int, text: str, *, package: bytes | None = None, **values: Any) -> ReleaseManifest:
    """A release of such a model."""
    package = zip_of(model(text)) if package is None else package
    made: dict[str, Any] = {
        "channel": "stable",
        "seq": seq,
        "version": f"1.{seq}.0",
        "repo_id": "projectone/whisper",
        "commit": "0" * 40,
        "base_sha256": "0" * 64,
        "weights_sha256": "0" * 64,
        "package_sha256": sha256_hex(package),
        "package_size_bytes": len(package),
        "files": tuple(ReleaseFile(path=n, sha256=sha256_hex(c), size_bytes=len(c)) for n, c in model(text).items()),
        "created_at": T0,
    }
    return ReleaseManifest(**(made | values))


def package_path(package: bytes) -> str:
    """Where a package is fetched."""
    return f"/v1/releases/{sha256_hex(package)}.zip"


def hint(seq: int, package: bytes) -> bytes:
    """What `/latest-model-info` says, which is all that a plain client reads."""
    return canonical_json(
        {
            "version": f"1.{seq}.0",
            "url": package_path(package),
            "sha256": sha256_hex(package),
            "size_bytes": len(package),
            "seq": seq,
            "min_seq": 1,
            "channel": "stable",
            "metadata_url": "/tuf/metadata",
            "release_path": PATH,
        }
    )


OLD, NEW, EVIL = (zip_of(model(text)) for text in ("old", "new", "evil"))


def honest(seq: int = 5, text: str = "old", at: datetime = T0) -> Shelf:
    """A server with one release."""
    shelf = Shelf(at)
    shelf.release(manifest(seq, text))
    shelf.roll_out("stable", b'{"percent":100}')
    return shelf


def next_one(text: str = "new", seq: int = 6, at: datetime = T1, **custom: Any) -> Shelf:
    """The same server after its next release."""
    shelf = honest()
    shelf.now = at
    shelf.release(manifest(seq, text), **custom)
    shelf.step("targets", "snapshot", "timestamp")
    return shelf


@dataclass
class Vector:
    """One case. `files` are what the server shows; `earlier` is what the device had seen, and when.

    `expected` is `accepted` (the release `seq` is installed), `current` (nothing new is believed, and nothing is wrong)
    or a reason to refuse: `signature`, `rollback`, `expired`, `mismatch` (bytes, lengths, names), `malformed`, `wire`,
    `nothing` (no release is listed).
    """

    name: str
    attack: str
    files: Files
    expected: str
    seq: int = 5
    clock: datetime = T1
    earlier: list[tuple[datetime, Files]] = field(default_factory=list)
    root: bytes = b""


VECTORS: list[Vector] = []
_PAST: Files = {}


def shown(shelf: Shelf, package: bytes, seq: int = 6, **others: Any) -> Files:
    """What this server shows, with a hint at a package."""
    return shelf.files() | {"/latest-model-info": hint(seq, package), package_path(package): package} | others


def past() -> list[tuple[datetime, Files]]:
    """A device that has release 5."""
    if not _PAST:
        _PAST.update(shown(honest(), OLD, 5))
    return [(T0, _PAST)]


def add(attack: str, name: str, files: Files, expected: str, **options: Any) -> None:
    """One vector more; the device has release 5 unless it is said otherwise."""
    options.setdefault("earlier", past())
    VECTORS.append(Vector(name=name, attack=attack, files=files, expected=expected, root=Shelf(T0).roots[0], **options))


def evil_next(**custom: Any) -> Shelf:
    """What a thief would have listed next."""
    return next_one("evil", 7, **custom)


def edited(content: bytes, change: Callable[[dict[str, Any]], None], *, keeps_signature: bool = True) -> bytes:
    """A metadata file with something else in it, and the signature it had."""
    document = json.loads(content)
    change(document)
    return json.dumps(document).encode()


def custom(seq: int) -> dict[str, Any]:
    """What the list says of a release."""
    return {"channel": "stable", "tier": "float16", "seq": seq, "min_runtime": "0.1.0"}
