"""Forty and more attacks on updates, as files for any client in any language; here the device's own, and a plain one.

The plain client reads `{version, url, sha256}` from one JSON answer and installs what has that digest: the control
that shows that the attacks work where nothing is verified.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.conformance.update_vectors import FOLDER, made
from tests.fakes.device_rooms import TextEngine

from projectone.contracts.base import sha256_hex
from projectone.device.installed import Installed
from projectone.device.releases import SignedReleases
from projectone.device.transcriber import Transcriber
from projectone.device.transport import Transport
from projectone.device.trust import Trust
from projectone.device.updater import Updater
from projectone.errors import (
    ArtifactError,
    ContractError,
    ExpiredReleaseError,
    ProjectOneError,
    RollbackError,
    SignatureError,
    TransportError,
)

POOL = json.loads((FOLDER / "pool.json").read_text())
VECTORS = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*/*.json"))]
ATTACKS = [vector for vector in VECTORS if vector["attack"] != "control"]
REASONS: tuple[tuple[type[ProjectOneError], str], ...] = (
    (SignatureError, "signature"),
    (RollbackError, "rollback"),
    (ExpiredReleaseError, "expired"),
    (ArtifactError, "mismatch"),
    (ContractError, "malformed"),
    (TransportError, "wire"),
)
MOST_READ_BYTES = 4_000_000


def bytes_of(name: str) -> bytes:
    kind, text = next(iter(POOL[name].items()))
    content = base64.b64decode(text) if kind == "base64" else text.encode()
    assert sha256_hex(content) == name
    return content


class Shown:
    """A server that shows one set of files, and counts what is read of it."""

    def __init__(self, files: dict[str, Any]) -> None:
        self.files = files
        self.n_read = 0

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        name = self.files.get(request.url.raw_path.decode().partition("?")[0])
        if name is None:
            return httpx2.Response(404, content=b"{}")
        return httpx2.Response(200, content=self._pieces(name))

    def _pieces(self, name: Any) -> Iterator[bytes]:
        if isinstance(name, str):
            self.n_read += len(bytes_of(name))
            yield bytes_of(name)
            return
        if "after" in name:
            yield bytes_of(name["after"])
        for _ in range(name["bytes"] // 65_536):
            self.n_read += 65_536
            yield name["repeat"].encode() * 65_536


def visit(home: Path, device: dict[str, Any], clock: str, server: Shown) -> str:
    """What the device says of this server at this time."""
    installed = Installed(home / "models")
    transport = Transport("http://vectors", lambda **_: {}, sleep=lambda _: None)
    transport._client = httpx2.Client(transport=httpx2.MockTransport(server))
    trust = Trust([], channel=device["channel"], tier=device["tier"], runtime=device["runtime"])
    now = datetime.fromisoformat(clock)
    releases = SignedReleases(home / "releases", bytes_of(device["root"]), trust, transport, clock=lambda: now)
    transcriber = Transcriber(installed, TextEngine)
    updater = Updater(
        installed,
        releases,
        transport,
        home / "staging",
        channel=device["channel"],
        try_new_model=transcriber.try_new_model,
        sleep=lambda _: None,
    )
    try:
        status = updater.update().status
    except ProjectOneError as error:
        return next(reason for kind, reason in REASONS if isinstance(error, kind))
    finally:
        transcriber.close()
        transport.close()
    return {"updated": "accepted", "no-release": "nothing"}.get(status, status)


def installed_seq(home: Path) -> int:
    current = Installed(home / "models").state().current
    return 0 if current is None else current.seq


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Devices that went through the same past once."""
    return {"": tmp_path_factory.mktemp("past")}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['attack']}/{vector['name']}")
def test_the_device_does_what_the_vector_expects(
    vector: dict[str, Any], homes: dict[str, Path], tmp_path: Path
) -> None:
    past = json.dumps(vector["earlier"])
    if past not in homes:
        homes[past] = homes[""] / str(len(homes))
        homes[past].mkdir()
        for seen in vector["earlier"]:
            visited = visit(homes[past], vector["device"], seen["clock"], Shown(seen["files"]))
            assert visited in ("accepted", "current")
    home = Path(shutil.copytree(homes[past], tmp_path / "home", symlinks=True))
    before, server = installed_seq(home), Shown(vector["files"])
    assert visit(home, vector["device"], vector["clock"], server) == vector["expected"]["verdict"]
    assert installed_seq(home) == vector["expected"]["seq"]
    assert (vector["expected"]["seq"] == before) == (vector["expected"]["verdict"] != "accepted")
    assert server.n_read < MOST_READ_BYTES
    assert not list(tmp_path.rglob("*outside*"))


def plain_client(files: dict[str, Any]) -> bytes | None:
    """What a client installs that believes one JSON answer: the control without signatures, versions or dates."""
    hint = json.loads(bytes_of(files["/latest-model-info"]))
    package = files.get(hint["url"])
    return bytes_of(package) if isinstance(package, str) and package == hint["sha256"] else None


def test_there_are_more_than_forty_attacks_of_every_class() -> None:
    assert len(ATTACKS) == len({vector["name"] for vector in ATTACKS}) >= 40
    assert len({vector["attack"] for vector in ATTACKS}) == 11
    assert all(vector["expected"]["verdict"] != "current" for vector in ATTACKS)


def test_a_client_that_believes_one_answer_takes_most_of_them() -> None:
    taken = [vector["name"] for vector in ATTACKS if plain_client(vector["files"]) is not None]
    refused = sorted({vector["name"] for vector in ATTACKS} - set(taken))
    assert refused == ["package-byte", "package-cut", "package-goes-on", "package-swapped"]


def test_the_vectors_are_what_their_script_makes(tmp_path: Path) -> None:
    for path, content in made().items():
        assert (FOLDER / path).read_text() == content
    assert {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.json")} == set(made())
