"""Topics `crash/operations` and `crash/images`: what a power cut can leave of an install, and what becomes of it."""

from __future__ import annotations

import base64
import re
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from tests.conformance.portable.topics import Case, Mistake, Topic, Value
from tests.fakes.release_server import Release, make_release
from tests.faults.crash_states import Bytes, Disk, Names, Recorder, Synced, crash_images, write_image

import projectone.device.installed.folders as folders
from projectone.contracts.base import canonical_json, sha256_hex
from projectone.device.installed import Installed
from projectone.errors import ArtifactError, StorageError

_VOICE = "voice.txt"
_SLOTS = ("current", "previous", "trial")


def _release(seq: int, text: str) -> Release:
    files = {_VOICE: text.encode(), "weights.bin": b"w"}
    made = datetime(2026, 11, 22, 12, tzinfo=UTC)
    return make_release(files, seq=seq, version=f"1.{seq}.0", base_sha256=sha256_hex(b"old"), created_at=made)


OLD, NEW, BROKEN = _release(1, "old"), _release(2, "new"), _release(2, "broken")


def _check(folder: Path) -> None:
    if (folder / _VOICE).read_text() == "broken":
        raise ValueError("this model cannot be loaded")


def _install(folder: Path, package: Path, release: Release) -> None:
    package.write_bytes(release.package)
    installed = Installed(folder)
    installed.recover()
    with installed.changing():
        installed.begin_trial(installed.add(package, release.manifest))
        installed.settle_trial(_check)


def _recorded(release: Release, *, first: Release | None = None) -> Recorder:
    with tempfile.TemporaryDirectory() as made:
        folder, package = Path(made) / "models", Path(made) / "package.zip"
        folder.mkdir()
        if first is not None:
            _install(folder, package, first)
        with Recorder(folder) as recorder:
            _install(folder, package, release)
    return recorder


class _Names:
    """Random names, numbered, and contents, named: the same in every recording."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}
        self.contents: dict[str, str] = {}

    def path(self, path: str) -> str:
        return re.sub(
            "[0-9a-f]{32}", lambda found: self._seen.setdefault(found[0], f"{len(self._seen) + 1:032x}"), path
        )

    def content(self, content: bytes) -> str:
        name = sha256_hex(content)[:12]
        self.contents[name] = base64.b64encode(content).decode()
        return name


def _described(recorder: Recorder) -> Value:
    """Start and operations, as JSON."""
    names = _Names()
    start = {
        "folders": {str(node): dict(sorted(inside.items())) for node, inside in recorder.start.folders.items()},
        "files": {str(node): names.content(content) for node, content in recorder.start.files.items()},
    }
    operations: list[Value] = []
    for step in recorder.steps:
        if isinstance(step, Bytes):
            operations.append({"op": "bytes", "node": step.node, "content": names.content(step.content)})
        elif isinstance(step, Synced):
            operations.append({"op": "fsync", "node": step.node})
        elif isinstance(step, Names):
            changes = [
                {"folder": folder, "name": names.path(name), "node": node, "is_folder": is_folder}
                for folder, name, node, is_folder in step.changes
            ]
            operations.append({"op": "names", "changes": changes})
    return {"start": start, "operations": operations, "contents": names.contents}


def _replayed(given: Value) -> Recorder:
    """The recording that was described."""
    contents = {name: base64.b64decode(content) for name, content in given["contents"].items()}
    recorder = object.__new__(Recorder)
    recorder.start = Disk(
        {int(node): dict(inside) for node, inside in given["start"]["folders"].items()},
        {int(node): contents[name] for node, name in given["start"]["files"].items()},
    )
    recorder.steps = []
    for step in given["operations"]:
        if step["op"] == "bytes":
            recorder.steps.append(Bytes(step["node"], contents[step["content"]]))
        elif step["op"] == "fsync":
            recorder.steps.append(Synced(step["node"]))
        else:
            changes = tuple((c["folder"], c["name"], c["node"], c["is_folder"]) for c in step["changes"])
            recorder.steps.append(Names(changes))
    return recorder


def images_of(given: Value) -> Value:
    """The digests of all images: of canonical JSON, path to SHA-256 of the content, null for a folder."""
    digests = [_digest(image) for image in crash_images(_replayed(given))]
    return {"images": sorted(digests)}


def _digest(image: dict[str, bytes | None]) -> str:
    return sha256_hex(canonical_json({path: None if c is None else sha256_hex(c) for path, c in image.items()}))


def recovered(given: Value) -> Value:
    """What is left of each image after a start."""
    contents = {name: base64.b64decode(content) for name, content in given["contents"].items()}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, image in enumerate(given["images"]):
            place = Path(folder) / str(number)
            write_image({path: None if name is None else contents[name] for path, name in image.items()}, place)
            found.append(_started(place))
    return {"after": found}


def _started(place: Path) -> Value:
    installed = Installed(place)
    try:
        installed.recover()
        usable = installed.usable().seq
    except ArtifactError:
        usable = None
    except StorageError:
        return {"refused": "state"}
    state = installed.state().model_dump(mode="json", include={"current", "previous", "trial", "tries", "floor"})
    slots = {name: state[name] and {key: state[name][key] for key in ("folder", "seq")} for name in _SLOTS}
    left = sorted(path.relative_to(place).as_posix() for path in place.glob("*/*"))
    return {"usable": usable, **slots, "tries": state["tries"], "floor": state["floor"], "left": left}


def _images_case(name: str, described: Value, extra: Iterable[dict[str, bytes | None]] = ()) -> Case:
    names = _Names()
    images = [*crash_images(_replayed(described)), *extra]
    listed = [{p: None if c is None else names.content(c) for p, c in sorted(image.items())} for image in images]
    return Case(name, {"contents": names.contents, "images": listed})


def _rotten() -> list[dict[str, bytes | None]]:
    """Disks that no power cut leaves: bits that fell, and a model that ended the app twice."""
    with tempfile.TemporaryDirectory() as made:
        folder, package = Path(made) / "models", Path(made) / "package.zip"
        for release in (OLD, NEW):
            _install(folder, package, release)
        whole = {p.relative_to(folder).as_posix(): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}
        installed = Installed(folder)
        package.write_bytes(_release(3, "newer").package)
        with installed.changing():
            installed.begin_trial(installed.add(package, _release(3, "newer").manifest))
        tried = installed.state().with_try()
        waiting = {p.relative_to(folder).as_posix(): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}
    return [
        whole,
        whole | {"releases/2/voice.txt": b"nex"},
        whole | {"releases/2/manifest.json": b"{}"},
        whole | {"releases/2/voice.txt": b"nex", "releases/1/voice.txt": b"olf"},
        whole | {"releases/1/voice.txt": b"olf"},
        waiting,
        waiting | {"state.json": tried.to_bytes()},
        waiting | {"state.json": tried.with_try().to_bytes()},
        waiting | {"releases/3/voice.txt": b"newex"},
        whole | {"state.json": b'{"floor":'},
    ]


_UPDATE = _described(_recorded(NEW, first=OLD))
_FIRST = _described(_recorded(NEW))
_FAILED = _described(_recorded(BROKEN, first=OLD))

OPERATIONS = Topic(
    name="crash/operations",
    about=(
        "What an install did to its folder, step by step, and every folder that a power cut could leave. Folders and "
        "files are numbered nodes, 0 is the folder itself. `bytes`: the file's content is now this one (`contents` "
        "has it, base64). `names`: names that were made, gone (node null) or moved in one step. `fsync`: of a file, "
        "it makes its last bytes sure; of a folder, the steps that changed its names. After each number of steps, "
        "what no later fsync makes sure is lost in these ways: none; all; all bytes; all names; each one alone; all "
        "but one; every suffix; and each `bytes` in part: what is new in it (behind the part that is as it was) up to "
        "its half, rounded down, then the old bytes from there on. Expected: SHA-256 of each different image, as "
        "canonical JSON from path to SHA-256 of the content or null for a folder, sorted."
    ),
    run=images_of,
    cases=(
        Case("an update", _UPDATE),
        Case("the first model", _FIRST),
        Case("a model that fails its trial", _FAILED),
        Case("nothing happens", _FIRST | {"operations": []}),
    ),
    mistakes=(
        Mistake("names are never sure", Names, "pinned_by", lambda self, synced: False),
        Mistake("nothing is torn", Disk, "tear", lambda self, step, share: self.apply(step)),
        Mistake("an fsync pins everything", Bytes, "pinned_by", lambda self, synced: True),
    ),
)
IMAGES = Topic(
    name="crash/images",
    about=(
        "Folders as a start finds them (path to a name in `contents`, base64; null is a folder), and what a start "
        "makes of each: the seq of the model that is used (null: none), the slots of `state.json`, tries and floor "
        "after it, and everything two names deep that is left. The rules: a trial with two tries, or with damaged "
        "files, is dropped; every release, base and temporary name that no slot needs is removed; if current is "
        "damaged, previous takes its place, until a whole one is found. Damaged: `manifest.json` does not have the "
        "slot's digest, or a file not the manifest's. A `state.json` that cannot be read is refused; no power cut "
        "leaves one."
    ),
    run=recovered,
    cases=(
        _images_case("bits that fell, and models that end the app", _FIRST | {"operations": []}, _rotten()),
        _images_case("an update", _UPDATE),
        _images_case("the first model", _FIRST),
        _images_case("a model that fails its trial", _FAILED),
    ),
    mistakes=(
        Mistake("nothing is removed", Installed, "_collect", lambda self, state: None),
        Mistake("no look at the files", Installed, "damage", lambda self, slot: None),
        Mistake("a model is tried for ever", folders, "MAX_TRIES", 99),
        Mistake("no way back", Installed, "_fall_back", lambda self, damaged: self._save(
            self.state().model_copy(update={"current": None}))),
    ),
)  # fmt: skip
