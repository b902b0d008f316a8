"""A power cut while a model is rebuilt from a short way, and a second one while the next start puts things right."""

from __future__ import annotations

import base64
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.portable.deltas import FILES
from tests.fakes.release_server import Release, make_release
from tests.faults.crash_states import Image, Recorder, crash_images, write_image

from projectone.contracts.base import sha256_hex
from projectone.contracts.releases import ReleaseUpdate
from projectone.device.installed import Installed
from projectone.errors import ArtifactError
from projectone.speech.weight_delta import apply_delta
from projectone.storage import files

_CASE = next(case.input for case in FILES.cases if case.name == "a difference")


BASE, UPDATE = (base64.b64decode(_CASE[name]) for name in ("base", "update"))


def _rebuilt() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("base", "update", "out")]
        paths[0].write_bytes(BASE)
        paths[1].write_bytes(UPDATE)
        apply_delta(paths[0], paths[1], paths[2])
        return paths[2].read_bytes()


WAY = ReleaseUpdate(
    path="model.safetensors", base_sha256=sha256_hex(BASE), sha256=sha256_hex(UPDATE), size_bytes=len(UPDATE)
)
OLD = make_release({"voice.txt": b"v", "model.safetensors": BASE}, seq=1, version="1.0.0")
NEW = make_release({"voice.txt": b"v", "model.safetensors": _rebuilt()}, seq=2, version="1.1.0", updates=(WAY,))


def install(models: Path, release: Release, *, is_short: bool) -> None:
    """What the updater does once the bytes are there."""
    installed = Installed(models)
    installed.recover()
    package, update = models.parent / "package.zip", models.parent / "update.delta"
    package.write_bytes(release.package)
    update.write_bytes(UPDATE)
    with installed.changing():
        installed.settle_trial(lambda path: None)  # one that waited
        state = installed.state()
        if state.current is not None and state.current.seq == release.manifest.seq:
            return
        if is_short:
            base = installed.file_of(WAY.path, WAY.base_sha256)
            assert base is not None
            slot = installed.rebuild(update, base, WAY, release.manifest)
        else:
            slot = installed.add(package, release.manifest)
        installed.begin_trial(slot)
        installed.settle_trial(lambda path: None)


def used(models: Path) -> int | None:
    """The model that works after a start; None if none does."""
    installed = Installed(models)
    installed.recover()
    try:
        return installed.usable().seq
    except ArtifactError:
        return None


def find_violation(models: Path) -> str | None:
    """What is wrong with the device that finds this disk; None if nothing is."""
    found = used(models)
    if found not in (1, 2):
        return f"no whole model: {found}"
    if used(models) != found:
        return "the second start is not like the first"
    left = [path.name for path in (models / "releases").iterdir() if path.name.startswith(".")]
    if left:
        return f"left over: {left}"
    install(models, NEW, is_short=True)
    return None if used(models) == 2 else "the update does not come to its end"


def images_of_an_update(folder: Path, *, is_short: bool) -> list[Image]:
    """Every disk that a power cut could leave of it."""
    models = folder / "recorded" / "models"
    models.mkdir(parents=True)
    install(models, OLD, is_short=False)
    with Recorder(models) as recorder:
        install(models, NEW, is_short=is_short)
    return list(crash_images(recorder))


def violations_of(images: list[Image], folder: Path) -> list[str]:
    """What is wrong with devices that find these disks."""
    found = []
    for image in images:
        place = folder / "image"
        write_image(image, place)
        try:
            problem = find_violation(place)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        if problem is not None:
            found.append(problem)
        shutil.rmtree(place)
    return found


def test_a_model_that_is_rebuilt_from_a_short_way_is_whole_or_not_there(folder: Path) -> None:
    images = images_of_an_update(folder, is_short=True)
    print(f"{len(images)} disks that a power cut during a rebuild could leave")
    assert violations_of(images, folder) == []
    assert len(images) > 25, "the steps are no longer seen"


def second_cuts(images: list[Image], folder: Path) -> Iterator[Image]:
    """Every disk that a power cut during the start on one of these disks could leave."""
    known: set[frozenset[tuple[str, bytes | None]]] = set()
    for image in images:
        place = folder / "first"
        write_image(image, place)
        # A start that breaks leaves the disk as it is, and that is found below.
        with Recorder(place) as recorder, contextlib.suppress(Exception):
            used(place)
        for second in crash_images(recorder):
            key = frozenset(second.items())
            if key not in known:
                known.add(key)
                yield second
        shutil.rmtree(place)


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 9])
def test_a_second_power_cut_while_the_start_puts_things_right_costs_nothing(every: int, folder: Path) -> None:
    images = images_of_an_update(folder, is_short=False)
    seconds = list(second_cuts(images[::every], folder))
    print(f"{len(images[::every])} disks after the first cut, {len(seconds)} after the second")
    assert violations_of(seconds, folder) == []
    assert len(seconds) > len(images[::every])


@pytest.mark.parametrize("is_short", [True, False])
def test_control_without_a_flush_of_files_both_find_it(
    is_short: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "fsync_file", lambda descriptor: None)
    images = images_of_an_update(folder, is_short=is_short)
    assert violations_of(images[-60:] if is_short else list(second_cuts(images[-6:], folder)), folder)
