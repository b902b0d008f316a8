"""`projectone-server vectors`: what an operator asks of the store."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from projectone.assist.vectors.matrix import MatrixVectors
from projectone.assist.vectors.protocol import Hit, Item, Owner
from projectone.assist.vectors.sqlite import SqliteVectors
from projectone.server.cli import main
from projectone.server.serve.initialise import initialise
from projectone.server.settings import ServerSettings
from projectone.server.work import vectors
from projectone.server.work.vectors import check_store

FORGET_ANNA = ("forget", "--tenant", "shop", "--user", "anna")


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that is mistyped."""
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def home(nowhere: Path) -> Path:
    initialise(ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(nowhere)}))
    return nowhere


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code = main(["vectors", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_store_that_keeps_its_promises_is_well(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = run(capsys, "check")
    assert (code, found["store"], found["is_well"]) == (0, "SQLite", True)
    assert (found["n_right"], found["n_asked"], found["n_left"]) == (200, 200, 0)
    assert main(["vectors", "check"]) == 0
    assert "200 of 200 right, 0 left" in capsys.readouterr().out


def test_a_person_is_forgotten_and_what_expired_is_swept(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = SqliteVectors.in_file(home / "vectors.sqlite", 384)
    anna, bert = Owner("shop", "anna"), Owner("shop", "bert")
    vector, past = np.ones(384, np.float32), datetime.now(UTC) - timedelta(days=1)
    store.put(
        [Item(UUID(int=n), owner, vector, past if n else None, "said") for owner in (anna, bert) for n in range(3)]
    )
    assert run(capsys, "sweep") == (0, {"n_expired": 4})
    assert run(capsys, *FORGET_ANNA) == (0, {"n_forgotten": 1})
    assert (store.count(anna), store.count(bert)) == (0, 1)
    code, refused = run(capsys, "forget", "--tenant", "", "--user", "")
    assert (code, refused["error"]["kind"]) == (2, "usage")
    store.close()


@pytest.mark.parametrize("words", [("check",), ("sweep",), FORGET_ANNA])
def test_where_there_is_no_server_nothing_is_made_and_nobody_is_said_to_be_forgotten(
    nowhere: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, refused = run(capsys, *words)
    assert (code, refused["error"]["kind"]) == (2, "settings")
    assert "no server at" in refused["error"]["message"] and not nowhere.exists()


def test_a_store_elsewhere_is_checked_without_a_home_but_forgets_nobody_whose_key_is_not_there(
    nowhere: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROJECTONE_SERVER_VECTORS", "postgresql://user@host/rows")
    elsewhere, anna = nowhere.parent / "rows.sqlite", Owner("shop", "anna")
    monkeypatch.setattr(vectors, "open_vectors", lambda where, width, home: SqliteVectors.in_file(elsewhere, width))
    store = SqliteVectors.in_file(elsewhere, 384)
    store.put([Item(UUID(int=1), anna, np.ones(384, np.float32), None, "said")])
    assert run(capsys, "check")[0] == 0 and run(capsys, "sweep") == (0, {"n_expired": 0})
    code, refused = run(capsys, *FORGET_ANNA)
    assert code == 2 and "no server at" in refused["error"]["message"]
    assert store.count(anna) == 1 and not nowhere.exists()
    store.close()


@pytest.mark.parametrize("width", ["-1", "0", "1", "16385", "100000000000"])
def test_a_width_that_no_vector_has_is_refused(home: Path, capsys: pytest.CaptureFixture[str], width: str) -> None:
    code, refused = run(capsys, "--width", width, "check")
    assert (code, refused["error"]["message"]) == (2, f"--width: expected 2 to 16384, got {width}")
    assert not (home / "vectors.sqlite").exists()
    assert run(capsys, "--width", "2", "check")[0] == 0  # the control


class Careless(MatrixVectors):
    """Knows no owners: everybody's vectors are everybody's."""

    def nearest(self, query: Any, owner: Owner, k: int, now: datetime) -> list[Hit]:
        found = [hit for key in self._owners for hit in self._owners[key].nearest(query / np.linalg.norm(query), k, 0)]
        return sorted(found, key=lambda hit: hit.distance)[:k]

    def forget(self, owner: Owner) -> int:
        return 0


def test_a_store_that_does_not_is_found() -> None:
    found = check_store(Careless(16), 16)
    assert found["n_right"] < found["n_asked"]
    assert found["n_left"] == 400
