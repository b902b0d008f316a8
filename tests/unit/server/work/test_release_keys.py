from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.releases import a_manifest

from projectone.server.audit import AuditLog
from projectone.server.cli import main
from projectone.server.database import open_engine
from projectone.server.delivery.ledger import Ledger


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(tmp_path / "home"))

    def run(*arguments: object, code: int = 0) -> Any:
        capsys.readouterr()
        assert main([*map(str, arguments), "--json"]) == code, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    run("init")
    offline = tmp_path / "offline"
    shutil.move(tmp_path / "home" / "keys" / "releases" / "root-offline", offline)
    return lambda *arguments, **options: run("keys", *arguments, **options)


def test_the_keys_of_releases_are_shown_replaced_and_put_on_the_record(keys: Any, tmp_path: Path) -> None:
    before = keys("show")
    assert before["n_root_keys_here"] == 0
    assert {
        name: (role["version"], role["threshold"], len(role["keys"])) for name, role in before["roles"].items()
    } == {
        "root": (1, 2, 3),
        "targets": (1, 1, 1),
        "snapshot": (1, 1, 1),
        "timestamp": (1, 1, 1),
        "rollout": (1, 1, 1),
    }
    offline = tmp_path / "offline"
    two = ("--root-key", offline / "root-1.key", "--root-key", offline / "root-3.key")
    assert keys("replace", "targets", "--root-key", offline / "root-1.key", code=2)["error"]["kind"] == "settings"
    after = keys("replace", "targets", "--stolen", *two)
    changed = [name for name in after["roles"] if after["roles"][name]["keys"] != before["roles"][name]["keys"]]
    assert changed == ["targets", "snapshot", "timestamp"]
    assert after["roles"]["root"]["version"] == 2
    assert keys("replace", "rollout")["roles"]["rollout"]["keys"] != before["roles"]["rollout"]["keys"]
    lost = before["roles"]["root"]["keys"][0]
    into = ("--new-keys", 1, "--into", tmp_path / "new")
    final = keys("replace-root", "--without", lost, *into, *two)
    assert final["roles"]["root"]["version"] == 3
    [new] = (tmp_path / "new").iterdir()
    assert new.stat().st_mode & 0o077 == 0
    assert lost not in final["roles"]["root"]["keys"]
    assert keys("renew") == final
    engine = open_engine(f"sqlite:///{tmp_path / 'home' / 'projectone.sqlite'}")
    entries = [(entry.act, entry.subject) for entry in AuditLog(engine).newest(9)][::-1]
    engine.dispose()
    assert entries == [
        ("role-key-replaced", "targets"),
        ("role-key-replaced", "snapshot"),
        ("role-key-replaced", "timestamp"),
        ("role-key-replaced", "rollout"),
        ("root-replaced", "3"),
    ]


def test_a_ceremony_that_is_refused_says_what_to_do_and_leaves_no_key(keys: Any, tmp_path: Path) -> None:
    offline, new = tmp_path / "offline", tmp_path / "new"
    two = ("--root-key", offline / "root-1.key", "--root-key", offline / "root-3.key")
    into = ("--new-keys", 1, "--into", new)
    assert "'zz'" in keys("replace-root", "--without", "zz", *into, *two, code=2)["error"]["message"]
    assert "--root-key" in keys("replace-root", *into, *two[:2], code=2)["error"]["message"]
    assert list(new.iterdir()) == []
    assert "root-9.key" in keys("replace-root", "--root-key", offline / "root-9.key", code=2)["error"]["message"]
    assert "0 to 9" in keys("replace-root", "--new-keys", -1, *two, code=2)["error"]["message"]
    assert keys("show")["roles"]["root"]["version"] == 1


def test_a_key_that_is_gone_is_replaced(keys: Any, tmp_path: Path) -> None:
    folder, offline = tmp_path / "home" / "keys" / "releases", tmp_path / "offline"
    two = ("--root-key", offline / "root-1.key", "--root-key", offline / "root-2.key")
    before = keys("show")["roles"]
    for role in ("targets", "rollout", "snapshot", "timestamp"):
        (folder / f"{role}.key").unlink()
    told = keys("replace", "rollout", code=2)["error"]["message"]
    assert "keys replace targets" in told
    after = keys("replace", "targets", "rollout", "snapshot", "timestamp", *two)["roles"]
    assert [name for name in after if after[name]["keys"] == before[name]["keys"]] == ["root"]
    assert sorted(path.name for path in folder.glob("*.key")) == [
        "rollout.key", "snapshot.key", "targets.key", "timestamp.key",
    ]  # fmt: skip


def test_a_release_whose_publisher_died_is_listed_by_the_next_renewal(keys: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    engine = open_engine(f"sqlite:///{home / 'projectone.sqlite'}")
    Ledger(engine).publish(
        "a-run", "stable", lambda seq: a_manifest().model_copy(update={"seq": seq})
    )  # the row, and then it died
    engine.dispose()
    listed = lambda: {path.name.split(".", 1)[1] for path in (home / "tuf" / "targets").rglob("*.json")}  # noqa: E731
    assert "release.json" not in listed()
    before = keys("show")["roles"]["targets"]["version"]
    assert keys("renew")["roles"]["targets"]["version"] == before + 1
    assert "release.json" in listed()
    assert keys("renew")["roles"]["targets"]["version"] == before + 1
