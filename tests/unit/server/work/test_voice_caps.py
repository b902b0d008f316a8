"""A run caps strangers with one voice where the operator asked for it, and says what is missing where it cannot."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from projectone.errors import DigestMismatchError, SettingsError
from projectone.server.corpus.caps import CapLimits
from projectone.server.pipeline.ports import PipelineSample
from projectone.server.settings import ServerSettings
from projectone.server.voices import installed
from projectone.server.work import workshop
from projectone.server.work.samples import RunSamples
from projectone.server.work.sealed_pool import SealedPool


def sample(person: str, number: int) -> PipelineSample:
    return PipelineSample(
        sample_id=f"{person}-{number}",
        contributor_id=person,
        clip_sha256=f"{number:064}",
        recording_sha256=f"{number:064}",
        text=f"{person} {number}",
        duration_s=1.0,
        recorded_at=datetime(2026, 11, 1, tzinfo=UTC),
        is_new=True,
    )


class AllSybilsAreOne:
    """Says so, and remembers whose clips it was given."""

    def __init__(self) -> None:
        self.heard: set[str] = set()

    def among(self, new: Sequence[PipelineSample], earlier: object, limits: CapLimits) -> dict[str, str]:
        self.heard = {one.contributor_id for one in new}
        return {person: "sybil0" for person in self.heard if person.startswith("sybil")}


def run_samples(voices: AllSybilsAreOne | None) -> RunSamples:
    known: dict[str, Any] = {**dict.fromkeys(inspect.signature(RunSamples).parameters), "voices": voices}
    return RunSamples(**known)


def test_strangers_with_one_voice_are_capped_together_and_only_if_voices_are_compared() -> None:
    limits = CapLimits(max_new_rare=10**6)
    new = [sample(f"sybil{account}", number) for number in range(5) for account in range(25)]
    new += [sample("ada", number) for number in range(5)]
    voices = AllSybilsAreOne()
    kept = run_samples(voices).cap(new, [], limits)
    assert sum(one.contributor_id != "ada" for one in kept) == limits.max_new_per_cluster
    assert sum(one.contributor_id == "ada" for one in kept) == 5
    assert len(voices.heard) == 26
    assert len(run_samples(None).cap(new, [], limits)) == len(new), "control: nobody compares voices"


def test_comparing_voices_is_off_unless_asked_for_and_needs_its_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def groups(**variables: str) -> object:
        environ = {"PROJECTONE_SERVER_HOME": str(tmp_path)}
        environ |= {f"PROJECTONE_SERVER_{name}": value for name, value in variables.items()}
        return workshop._voice_groups(ServerSettings.from_env(environ), lambda sha256: b"")

    assert groups() is None
    monkeypatch.setattr(workshop, "are_installed", lambda: True)
    monkeypatch.setattr(workshop, "check_installed", lambda: None)
    assert groups(CAP_VOICES="on") is not None
    assert groups() is None, "that they are installed is no wish to compare people"
    monkeypatch.setattr(workshop, "are_installed", lambda: False)
    with pytest.raises(SettingsError, match="pip install --no-deps whisperx"):
        groups(CAP_VOICES="on")


def test_other_weights_are_named_at_the_start_and_stop_only_who_asked_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(b"of another version")
    monkeypatch.setattr(installed, "find_weights", lambda file: path)
    told: list[str] = []

    def settings(**variables: str) -> ServerSettings:
        environ = {"PROJECTONE_SERVER_HOME": str(tmp_path)}
        return ServerSettings.from_env(environ | {f"PROJECTONE_SERVER_{name}": to for name, to in variables.items()})

    assert not workshop._holds_speakers(settings(HOLD_SPEAKERS="auto"), told.append)
    assert "pytorch_model.bin" in told[0]
    assert "pip install --no-deps whisperx" in told[0]
    with pytest.raises(SettingsError, match=r"HOLD_SPEAKERS.*pytorch_model.bin.*pip install --no-deps whisperx"):
        workshop._holds_speakers(settings(HOLD_SPEAKERS="on"), told.append)
    with pytest.raises(SettingsError, match=r"CAP_VOICES.*pytorch_model.bin.*pip install --no-deps whisperx"):
        workshop._voice_groups(settings(CAP_VOICES="on"), lambda sha256: b"")
    assert not workshop._holds_speakers(settings(HOLD_SPEAKERS="off"), told.append)
    with pytest.raises(DigestMismatchError, match=r"pytorch_model.bin"):
        SealedPool().hear_voices()  # they were replaced since
    monkeypatch.setattr(installed, "find_weights", lambda file: None)
    assert not workshop._holds_speakers(settings(HOLD_SPEAKERS="auto"), told.append)
    assert workshop._holds_speakers(settings(HOLD_SPEAKERS="on"), told.append), "by pitch and colour"
    assert len(told) == 1
