"""A power cut at any moment of an install, by enumeration; with four seeded bugs that must be found."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.fakes.device_rooms import VOICE, TextEngine, text_model
from tests.fakes.release_server import Release, make_release
from tests.faults.crash_states import Recorder, crash_images, write_image

import projectone.device.installed.folders as folders
from projectone.contracts.base import sha256_hex
from projectone.contracts.releases import ReleaseManifest
from projectone.device.installed import Installed, Slot
from projectone.device.transcriber import Transcriber
from projectone.errors import ArtifactError
from projectone.storage import files

KEY = Ed25519PrivateKey.generate()
# What the others are made from, as they say: it is kept for them, also when it is in use no more.
BASE = sha256_hex(next(iter(text_model("old").values())))
OLD = make_release(text_model("old"), seq=1, version="1.0.0", base_sha256=BASE)
NEW = make_release(text_model("new"), seq=2, version="1.1.0", base_sha256=BASE)
NEWER = make_release(text_model("newer"), seq=3, version="1.2.0", base_sha256=BASE)
BROKEN = make_release(text_model("broken"), seq=2, version="1.1.0")
WORDS = {1: "old", 2: "new", 3: "newer"}
SILENCE = np.zeros(16, dtype=np.float32)


def install(home: Path, release: Release) -> None:
    """What the updater does once the package is there, after what a start does."""
    package = home.parent / f"{release.manifest.package_sha256}.zip"
    package.write_bytes(release.package)
    installed = Installed(home / "models")
    installed.recover()
    transcriber = Transcriber(installed, TextEngine)
    with installed.changing():
        transcriber.try_new_model()
        current = installed.state().current
        if current is None or current.seq != release.manifest.seq or installed.damage(current) is not None:
            installed.begin_trial(installed.add(package, release.manifest))
            transcriber.try_new_model()
    transcriber.close()


def heard_in(home: Path) -> str | None:
    """What the device hears after its next start; None if it has no model."""
    installed = Installed(home / "models")
    installed.recover()
    transcriber = Transcriber(installed, TextEngine)
    try:
        return transcriber.transcribe(SILENCE).text
    except ArtifactError:
        return None
    finally:
        transcriber.close()


def find_violation(home: Path, allowed: set[str | None], release: Release) -> str | None:
    """What is wrong with the device that finds this disk; None if nothing is."""
    heard = heard_in(home)
    if heard not in allowed:
        return f"heard {heard!r}"
    state = Installed(home / "models").recover()
    if Installed(home / "models").recover() != state or heard_in(home) != heard:
        return "the second start is not like the first"
    for base in (home / "models" / "bases").glob("*"):
        if base.name != BASE or (base / VOICE).read_bytes() != b"old":
            return f"the base {base.name} is not whole"
    install(home, release)
    expected = allowed if release is BROKEN else {WORDS[release.manifest.seq]}
    if heard_in(home) not in expected:
        return f"after another update: heard {heard_in(home)!r}"
    return None


def explore(
    folder: Path,
    *,
    first: Release | None,
    then: tuple[Release, ...],
    allowed: set[str | None],
    limit: int | None = None,
) -> tuple[int, list[str]]:
    """How many disks a power cut during an install could leave, and what is wrong with some of them."""
    home = folder / "recorded" / "home"
    home.mkdir(parents=True)
    if first is not None:
        install(home, first)
    with Recorder(home) as recorder:
        for release in then:
            install(home, release)
    n_images, violations = 0, []
    for image in crash_images(recorder):
        n_images += 1
        place = folder / "image"
        write_image(image, place)
        try:
            problem = find_violation(place, allowed, then[-1])
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        if problem is not None:
            violations.append(problem)
            if limit is not None and len(violations) >= limit:
                break
        shutil.rmtree(place)
    return n_images, violations


@pytest.mark.parametrize(
    ("first", "then", "allowed"),
    [
        pytest.param(OLD, (NEW,), {"old", "new"}, id="an update"),
        pytest.param(OLD, (NEW, NEWER), {"old", "new", "newer"}, id="two updates"),
        pytest.param(None, (NEW,), {None, "new"}, id="the first model"),
        pytest.param(OLD, (BROKEN,), {"old"}, id="a model that fails its trial"),
    ],
)
def test_no_power_cut_leaves_a_device_without_a_whole_model(
    first: Release | None, then: tuple[Release, ...], allowed: set[str | None], folder: Path
) -> None:
    n_images, violations = explore(folder, first=first, then=then, allowed=allowed)
    assert violations == []
    assert n_images > 30, "the steps are no longer seen"


def no_fsync_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "fsync_file", lambda descriptor: None)


def no_fsync_of_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "fsync_folder", lambda path: None)


def state_written_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def write_in_place(path: Path, content: bytes) -> None:
        with path.open("wb") as stream:
            stream.write(content)
            stream.flush()
            files.fsync_file(stream.fileno())

    monkeypatch.setattr(folders, "write_atomically", write_in_place)


def live_folder_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    add = Installed.add

    def overwrite(self: Installed, package: Path, manifest: ReleaseManifest) -> Slot:
        slot, current = add(self, package, manifest), self.state().current
        if current is None:
            return slot
        for path in sorted(self.path_of(slot).iterdir()):
            path.replace(self.path_of(current) / path.name)
        files.sync_tree(self.path_of(current))
        return slot.model_copy(update={"folder": current.folder})

    monkeypatch.setattr(Installed, "add", overwrite)


@pytest.mark.parametrize(
    "bug", [no_fsync_of_files, no_fsync_of_folders, state_written_in_place, live_folder_overwritten]
)
def test_the_exploration_finds_a_seeded_bug(
    bug: Callable[[pytest.MonkeyPatch], None], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bug(monkeypatch)
    _, violations = explore(folder, first=OLD, then=(NEW, NEWER), allowed={"old", "new", "newer"}, limit=1)
    assert violations
