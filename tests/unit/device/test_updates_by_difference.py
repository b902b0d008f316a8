"""Short ways to a release: taken where one leads from a model that is here, left where it fails, never believed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save
from tests.fakes.device_rooms import heard_by, text_model, update
from tests.fakes.release_server import FakeServer, Release

from projectone.contracts.base import sha256_hex
from projectone.contracts.endpoints import RELEASES
from projectone.contracts.releases import ReleaseUpdate
from projectone.speech.weight_delta import write_delta

WEIGHTS = "model.safetensors"


def model(change: float) -> dict[str, bytes]:
    """A model whose text stays and whose weights move."""
    seed = np.random.default_rng(0)
    base = seed.standard_normal((600, 600)) * 0.05
    moved = base * (1 + change * seed.standard_normal(base.shape))
    return {**text_model("same words"), WEIGHTS: save({"w": moved.astype(np.float16)}, metadata={"format": "pt"})}


def way(folder: Path, old: dict[str, bytes], new: dict[str, bytes]) -> tuple[ReleaseUpdate, bytes]:
    for name, files in (("old", old), ("new", new)):
        (folder / name).write_bytes(files[WEIGHTS])
    write_delta(folder / "old", folder / "new", folder / "delta")
    delta = (folder / "delta").read_bytes()
    update = ReleaseUpdate(
        path=WEIGHTS, base_sha256=sha256_hex(old[WEIGHTS]), sha256=sha256_hex(delta), size_bytes=len(delta)
    )
    return update, delta


@pytest.fixture
def second(tmp_path: Path, server: FakeServer) -> Callable[..., Release]:
    """Installs a first release, then puts a second one with a short way to it on the server."""
    old, new = model(0.0), model(1e-3)
    server.release(old, seq=1, version="1.0.0")
    assert update(tmp_path / "home", server).status == "updated"

    def release(**changes: object) -> Release:
        made, delta = way(tmp_path, old, new)
        server.packages[made.sha256] = delta
        files = changes.pop("files", new)
        update = made.model_copy(update=changes)
        return server.release(files, seq=2, version="1.1.0", updates=(update,))  # type: ignore[arg-type]

    return release


def packages_asked(server: FakeServer) -> list[str]:
    return [path.rsplit(".", 1)[1] for _, path in server.requests if path.startswith(RELEASES)][1:]


def test_a_device_with_the_model_before_fetches_the_difference_alone(
    tmp_path: Path, server: FakeServer, second: Callable[..., Release]
) -> None:
    release = second()
    report = update(tmp_path / "home", server)
    assert report.status == "updated"
    assert report.received_bytes == release.manifest.updates[0].size_bytes < 0.3 * len(release.package)
    assert packages_asked(server) == ["delta"]
    installed = tmp_path / "home" / "models" / "releases" / "2"
    assert (installed / WEIGHTS).read_bytes() == model(1e-3)[WEIGHTS]
    assert heard_by(tmp_path / "home") == "same words"
    assert list((tmp_path / "home" / "staging").iterdir()) == []


def test_a_new_device_fetches_the_whole_package(
    tmp_path: Path, server: FakeServer, second: Callable[..., Release]
) -> None:
    second()
    server.requests.clear()
    assert update(tmp_path / "other", server).status == "updated"
    assert [path.rsplit(".", 1)[1] for _, path in server.requests if path.startswith(RELEASES)] == ["zip"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda server, release: server.packages.pop(release.manifest.updates[0].sha256),
        lambda server, release: server.packages.update(
            {release.manifest.updates[0].sha256: bytes(release.manifest.updates[0].size_bytes)}
        ),
    ],
    ids=["is gone", "is other bytes"],
)
def test_a_short_way_that_fails_leaves_the_whole_package(
    spoil: Callable[[FakeServer, Release], object],
    tmp_path: Path,
    server: FakeServer,
    second: Callable[..., Release],
) -> None:
    spoil(server, second())
    assert update(tmp_path / "home", server).status == "updated"
    assert packages_asked(server)[-1] == "zip"


def test_a_file_that_no_model_here_has_leaves_the_whole_package(
    tmp_path: Path, server: FakeServer, second: Callable[..., Release]
) -> None:
    second(files={**model(1e-3), "config.json": b"{}"})
    assert update(tmp_path / "home", server).status == "updated"
    assert packages_asked(server) == ["delta", "zip"]
    assert (tmp_path / "home" / "models" / "releases" / "2" / "config.json").read_bytes() == b"{}"


def test_a_difference_that_leads_elsewhere_than_was_signed_is_not_installed(
    tmp_path: Path, server: FakeServer, second: Callable[..., Release]
) -> None:
    second(files=model(2e-3))  # a real difference, of another model
    assert update(tmp_path / "home", server).status == "updated"
    assert packages_asked(server) == ["delta", "zip"]
    installed = tmp_path / "home" / "models" / "releases" / "2" / WEIGHTS
    assert installed.read_bytes() == model(2e-3)[WEIGHTS]


def test_a_damaged_model_is_no_way_to_anywhere(
    tmp_path: Path, server: FakeServer, second: Callable[..., Release]
) -> None:
    second()
    (tmp_path / "home" / "models" / "releases" / "1" / WEIGHTS).write_bytes(b"rotten")
    assert update(tmp_path / "home", server).status == "updated"
    assert packages_asked(server) == ["zip"]


def test_a_difference_that_was_cut_off_on_its_way_is_gone_on_with(
    tmp_path: Path, server: FakeServer, second: Callable[..., Release]
) -> None:
    release = second()
    server.faults.drop_after_bytes = [100_000]
    report = update(tmp_path / "home", server)
    assert packages_asked(server) == ["delta", "delta"]
    assert server.ranges[-1] is not None  # from where it stopped
    assert report.received_bytes == release.manifest.updates[0].size_bytes
