"""Adapters on the device: added to the base that is kept for them, and left where anything is wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from tests.fakes.device_rooms import heard_by, text_model, update
from tests.fakes.release_server import FakeServer, Release, zip_of

from projectone.contracts.base import sha256_hex
from projectone.contracts.endpoints import RELEASES
from projectone.contracts.releases import BasePackage, ReleaseUpdate
from projectone.speech.adapter_update import write_adapter_update
from projectone.speech.exact_merge import Factors, fuse
from projectone.speech.weight_delta import write_delta

WEIGHTS = "model.safetensors"
SCALE = 2.0
Files = dict[str, bytes]


def files(weights: np.ndarray) -> Files:
    return {**text_model("same words"), WEIGHTS: save({"w": weights}, metadata={"format": "pt"})}


def drawn(seed: int, *shape: int, size: float = 0.05) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) * size).astype(np.float16)


BASE_WEIGHTS = drawn(0, 400, 300)
BASE = files(BASE_WEIGHTS)
BASE_SHA256 = sha256_hex(BASE[WEIGHTS])


@dataclasses.dataclass
class Tuned:
    """A LoRA release: its files, and its adapter as an update."""

    files: Files
    way: ReleaseUpdate
    bytes: bytes


def tuned(folder: Path, seed: int, *, has_package: bool = False) -> Tuned:
    factors = Factors(drawn(seed, 2, 300), drawn(seed + 1, 400, 2))
    made = files(fuse(BASE_WEIGHTS, factors, SCALE))
    for name, model in (("base", BASE), ("new", made)):
        (folder / name).write_bytes(model[WEIGHTS])
    write_adapter_update(folder / "base", folder / "new", {"w": factors}, SCALE, folder / "adapter")
    content = (folder / "adapter").read_bytes()
    package = zip_of(BASE)
    way = ReleaseUpdate(
        kind="adapter",
        path=WEIGHTS,
        base_sha256=BASE_SHA256,
        sha256=sha256_hex(content),
        size_bytes=len(content),
        base_package=BasePackage(sha256=sha256_hex(package), size_bytes=len(package)) if has_package else None,
    )
    return Tuned(made, way, content)


def release(server: FakeServer, made: Tuned, seq: int, *others: ReleaseUpdate, **options: Any) -> Release:
    server.packages[made.way.sha256] = made.bytes
    if made.way.base_package is not None:
        server.packages[made.way.base_package.sha256] = zip_of(BASE)
    options = {"updates": (*others, made.way), "base_sha256": BASE_SHA256, **options}
    return server.release(made.files, seq=seq, version=f"1.{seq}.0", **options)


def fetched(server: FakeServer) -> list[str]:
    """The names of what was fetched since this was asked last."""
    names = [path.rsplit("/", 1)[1] for _, path in server.requests if path.startswith(RELEASES)]
    server.requests.clear()
    return names


@pytest.fixture
def home(tmp_path: Path, server: FakeServer) -> Path:
    """A device that installed the base as the first release."""
    server.release(BASE, seq=1, version="1.1.0", base_sha256=BASE_SHA256)
    assert update(tmp_path / "home", server).status == "updated"
    fetched(server)
    return tmp_path / "home"


def installed(home: Path, seq: int) -> Path:
    return home / "models" / "releases" / str(seq)


def test_every_release_costs_its_adapter_alone_long_after_the_base_was_in_use(
    home: Path, server: FakeServer, tmp_path: Path
) -> None:
    for seq in (2, 3, 4):
        made = tuned(tmp_path, 10 * seq)
        release(server, made, seq)
        report = update(home, server)
        assert (report.status, report.received_bytes) == ("updated", len(made.bytes))
        assert fetched(server) == [f"{made.way.sha256}.delta"]
        assert (installed(home, seq) / WEIGHTS).read_bytes() == made.files[WEIGHTS]
    assert heard_by(home) == "same words"
    assert not installed(home, 1).exists()
    assert [path.name for path in (home / "models" / "bases").iterdir()] == [BASE_SHA256]


def test_a_base_in_use_takes_no_room_of_its_own(home: Path) -> None:
    kept = home / "models" / "bases" / BASE_SHA256 / WEIGHTS
    assert kept.samefile(installed(home, 1) / WEIGHTS)


def test_a_new_device_fetches_the_base_once_and_adapters_from_then_on(tmp_path: Path, server: FakeServer) -> None:
    first, second = (tuned(tmp_path, seed, has_package=True) for seed in (20, 30))
    package = first.way.base_package
    assert package is not None
    release(server, first, 2)
    report = update(tmp_path / "home", server)
    assert report.received_bytes == package.size_bytes + len(first.bytes)
    assert fetched(server) == [f"{package.sha256}.zip", f"{first.way.sha256}.delta"]
    release(server, second, 3)
    assert update(tmp_path / "home", server).received_bytes == len(second.bytes)
    assert (installed(tmp_path / "home", 3) / WEIGHTS).read_bytes() == second.files[WEIGHTS]


def test_a_base_that_costs_much_more_than_the_package_is_not_fetched(tmp_path: Path, server: FakeServer) -> None:
    made = tuned(tmp_path, 20, has_package=True)
    assert made.way.base_package is not None
    dear = made.way.base_package.model_copy(update={"size_bytes": 10**7})
    made.way = made.way.model_copy(update={"base_package": dear})
    whole = release(server, made, 2)
    assert update(tmp_path / "home", server).status == "updated"
    assert fetched(server) == [f"{whole.manifest.package_sha256}.zip"]


@pytest.mark.parametrize(
    "damaged",
    [
        lambda content: None,
        lambda content: content[:-40],
        lambda content: content[:-40] + bytes([content[-40] ^ 1]) + content[-39:],
        lambda content: content.replace(BASE_SHA256.encode(), b"0" * 64),
    ],
    ids=["gone", "cut off", "one bit flipped", "of another base"],
)
def test_after_an_adapter_that_fails_comes_the_difference_and_then_the_package(
    damaged: Any, home: Path, server: FakeServer, tmp_path: Path
) -> None:
    made = tuned(tmp_path, 20)
    write_delta(tmp_path / "base", tmp_path / "new", tmp_path / "delta")
    content = (tmp_path / "delta").read_bytes()
    delta = ReleaseUpdate(path=WEIGHTS, base_sha256=BASE_SHA256, sha256=sha256_hex(content), size_bytes=len(content))
    spoiled = damaged(made.bytes)
    if spoiled is not None:  # signed as it is: the file itself has to be found wanting, not its digest
        sha256 = sha256_hex(spoiled)
        made = Tuned(made.files, made.way.model_copy(update={"sha256": sha256, "size_bytes": len(spoiled)}), spoiled)
    server.packages[delta.sha256] = content
    whole = release(server, made, 2, delta)
    if spoiled is None:
        del server.packages[made.way.sha256]
    assert update(home, server).status == "updated"
    assert fetched(server) == [f"{made.way.sha256}.delta", f"{delta.sha256}.delta"]
    assert (installed(home, 2) / WEIGHTS).read_bytes() == made.files[WEIGHTS]

    del server.packages[delta.sha256]
    assert update(tmp_path / "other", server).status == "updated"  # a new device: neither begins at what it has
    assert fetched(server) == [f"{whole.manifest.package_sha256}.zip"]


def test_an_adapter_of_another_release_is_not_installed(home: Path, server: FakeServer, tmp_path: Path) -> None:
    made, other = tuned(tmp_path, 20), tuned(tmp_path, 30)
    mixed = Tuned(made.files, other.way, other.bytes)  # a sound adapter, which leads elsewhere than was signed
    whole = release(server, mixed, 2)
    assert update(home, server).status == "updated"
    assert fetched(server) == [f"{other.way.sha256}.delta", f"{whole.manifest.package_sha256}.zip"]
    assert (installed(home, 2) / WEIGHTS).read_bytes() == made.files[WEIGHTS]


def test_a_base_that_no_model_names_any_more_is_removed(home: Path, server: FakeServer, tmp_path: Path) -> None:
    for seq in (2, 3):
        server.release(files(drawn(seq, 400, 300)), seq=seq, version=f"1.{seq}.0")
        assert (home / "models" / "bases" / BASE_SHA256).exists()
        assert update(home, server).status == "updated"
    assert list((home / "models" / "bases").iterdir()) == []


def test_a_base_that_rotted_is_fetched_again(home: Path, server: FakeServer, tmp_path: Path) -> None:
    release(server, tuned(tmp_path, 20), 2)
    update(home, server)
    release(server, tuned(tmp_path, 30), 3)
    update(home, server)
    kept = home / "models" / "bases" / BASE_SHA256 / WEIGHTS
    kept.write_bytes(b"rotten")
    made = tuned(tmp_path, 40, has_package=True)
    release(server, made, 4)
    assert update(home, server).status == "updated"
    assert made.way.base_package is not None
    assert fetched(server)[-2:] == [f"{made.way.base_package.sha256}.zip", f"{made.way.sha256}.delta"]
    assert kept.read_bytes() == BASE[WEIGHTS]


def test_a_package_that_is_not_the_base_is_not_kept_as_one(tmp_path: Path, server: FakeServer) -> None:
    made = tuned(tmp_path, 20, has_package=True)
    wrong = zip_of(files(drawn(9, 400, 300)))
    package = BasePackage(sha256=sha256_hex(wrong), size_bytes=len(wrong))
    made.way = made.way.model_copy(update={"base_package": package})
    whole = release(server, made, 2)
    server.packages[package.sha256] = wrong
    assert update(tmp_path / "home", server).status == "updated"
    assert fetched(server) == [f"{package.sha256}.zip", f"{whole.manifest.package_sha256}.zip"]
    assert not (tmp_path / "home" / "models" / "bases" / BASE_SHA256).exists()
