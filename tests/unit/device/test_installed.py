"""The one small file that says which model counts, and how it is brought back to order."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.fakes.device_rooms import text_model
from tests.fakes.release_server import make_release

from projectone.device.installed import Installed, InstallState, Slot
from projectone.errors import ArtifactError, SettingsError, StorageError

KEY = Ed25519PrivateKey.generate()


def add(installed: Installed, text: str, seq: int) -> Slot:
    release = make_release(text_model(text), seq=seq, version=f"1.{seq}.0")
    package = installed.folder.parent / "package.zip"
    package.write_bytes(release.package)
    return installed.add(package, release.manifest)


def install(installed: Installed, text: str, seq: int) -> Slot:
    slot = add(installed, text, seq)
    installed.begin_trial(slot)
    installed.settle_trial(lambda folder: "fine")
    return slot


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path / "models")


def test_a_first_start_finds_nothing_and_that_is_fine(installed: Installed) -> None:
    assert installed.recover() == InstallState()


def test_a_trial_counts_its_try_before_the_model_is_touched(installed: Installed) -> None:
    installed.begin_trial(add(installed, "new", 1))
    tries: list[int] = []
    installed.settle_trial(lambda folder: tries.append(Installed(installed.folder).state().tries))
    assert tries == [1]
    assert installed.state().tries == 0


def test_a_model_that_ends_the_app_twice_is_rolled_back(installed: Installed) -> None:
    old = install(installed, "old", 1)
    installed.begin_trial(add(installed, "new", 2))

    def crash(folder: Path) -> None:
        raise SystemExit  # not an Exception: as if the process had ended

    for tries in (1, 2):
        assert installed.recover().trial is not None
        with pytest.raises(SystemExit):
            installed.settle_trial(crash)
        assert installed.state().tries == tries
    state = installed.recover()
    assert (state.trial, state.current) == (None, old)
    assert "twice" in (state.why_set_aside(2) or "")
    assert not (installed.folder / "releases" / "2").exists()


def test_the_floor_rises_only_with_a_healthy_trial(installed: Installed) -> None:
    install(installed, "old", 3)
    installed.begin_trial(add(installed, "new", 7))
    assert installed.state().floor == 3

    def fail(folder: Path) -> None:
        raise ValueError("no")

    installed.settle_trial(fail)
    assert installed.state().floor == 3


def test_recovering_twice_is_recovering_once(installed: Installed) -> None:
    install(installed, "old", 1)
    installed.begin_trial(add(installed, "new", 2))
    add(installed, "orphan", 9)
    (installed.folder / "releases" / ".tmp-5-abc").mkdir()
    once = installed.recover()
    names = sorted(path.name for path in (installed.folder / "releases").iterdir())
    assert installed.recover() == once
    assert sorted(path.name for path in (installed.folder / "releases").iterdir()) == names == ["1", "2"]


def test_nothing_is_cleaned_up_while_another_process_installs(installed: Installed) -> None:
    with installed.changing():
        add(installed, "new", 1)
        Installed(installed.folder).recover()
        assert (installed.folder / "releases" / "1").exists()
    installed.recover()
    assert not (installed.folder / "releases" / "1").exists()


def test_a_damaged_trial_is_forgotten_but_may_come_again(installed: Installed) -> None:
    slot = add(installed, "new", 1)
    installed.begin_trial(slot)
    (installed.path_of(slot) / "voice.txt").write_text("rot")
    state = installed.recover()
    assert state.trial is None
    assert state.why_set_aside(1) is None


@pytest.mark.parametrize("damage", ["changed", "missing", "manifest changed", "manifest missing"])
def test_every_damage_to_a_model_is_found(damage: str, installed: Installed) -> None:
    slot = install(installed, "old", 1)
    path = installed.path_of(slot) / ("manifest.json" if "manifest" in damage else "weights.bin")
    if "missing" in damage:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b" ")
    assert installed.damage(slot) is not None
    with pytest.raises(ArtifactError, match="damaged"):
        installed.usable()


def test_there_is_nothing_to_go_back_to_after_the_first_model(installed: Installed) -> None:
    install(installed, "old", 1)
    with pytest.raises(ArtifactError, match="no earlier model"):
        installed.roll_back()


def test_going_back_and_forth_keeps_both_models(installed: Installed) -> None:
    install(installed, "old", 1)
    install(installed, "new", 2)
    assert installed.roll_back().seq == 1
    assert installed.state().why_set_aside(2) is not None
    assert installed.roll_back().seq == 2
    assert installed.state().why_set_aside(2) is None
    assert installed.state().floor == 2


def test_a_damaged_state_file_is_said_with_the_way_out(installed: Installed) -> None:
    installed.folder.mkdir()
    (installed.folder / "state.json").write_text("{")
    with pytest.raises(StorageError, match="remove the folder 'models'"):
        installed.recover()


def test_a_missing_setting_speaks_for_itself_and_not_against_the_model(installed: Installed) -> None:
    installed.begin_trial(add(installed, "new", 1))

    def lack_a_setting(folder: Path) -> None:
        raise SettingsError("PROJECTONE_LANGUAGE: expected one of en, got 'de'")

    for _ in range(3):
        with pytest.raises(SettingsError):
            installed.settle_trial(lack_a_setting)
        assert installed.recover().trial is not None
    outcome = installed.settle_trial(lambda folder: "fine")
    assert outcome is not None
    assert outcome.result == "fine"
