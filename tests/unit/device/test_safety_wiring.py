"""The safety classifier of a device reads what is asked and what is answered."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.tiny_bert import tiny_bert

from projectone.assist.calibration import Alarm
from projectone.assist.classifiers import CLASSIFIER, Head, save_classifier
from projectone.assist.embeddings import SentenceEmbedder
from projectone.device import safety_wiring
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.errors import GuardError, SettingsError


@pytest.fixture
def guard(tmp_path: Path) -> Path:
    directions = SentenceEmbedder(tiny_bert()).embed(["play some song", "is it warm weather"])
    head = Head(("fine", "rude"), directions, 8.0, -1.0, {}, Alarm("rude", 0.6, 0.8, 0.05, 40, 60))
    save_classifier(tmp_path / "guard", tiny_bert(), head)
    return tmp_path / "guard"


def test_it_is_read_when_it_is_first_asked_and_never_answers_unread(guard: Path, tmp_path: Path) -> None:
    flags = safety_wiring.flags(DeviceSettings(home=tmp_path, safety_model=guard))
    assert flags is not None
    assert [flags(text) for text in ("play some song", "is it warm weather")] == [False, True]
    broken = safety_wiring.flags(DeviceSettings(home=tmp_path, safety_model=guard))
    (guard / CLASSIFIER).write_text("{}")
    assert broken is not None
    for _ in range(2):
        with pytest.raises(GuardError):
            broken("play some song")
    assert safety_wiring.flags(DeviceSettings(home=tmp_path)) is None


def test_a_folder_without_a_classifier_is_said_at_the_door(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="PROJECTONE_SAFETY_MODEL"):
        open_client(DeviceSettings(home=tmp_path / "home", safety_model=tmp_path / "nothing"))
