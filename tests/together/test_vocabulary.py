"""A name that a person corrects is right the next time, with the real model and real speech, and gone when undone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from projectone.device.engine import SpeechEngine, load_engine
from projectone.device.heard import Hints
from projectone.device.migrations import MIGRATIONS
from projectone.device.vocabulary import Vocabulary
from projectone.server.corpus.manifests import read_manifest
from projectone.server.work.clips import open_decoder
from projectone.storage.database import Database

STARTER = Path(__file__).parents[2] / "models" / "starter"
NAME = "h o w e l l"


@pytest.fixture
def engine() -> Iterator[SpeechEngine]:
    engine = load_engine(STARTER, language="en", numerics="float32")
    yield engine
    engine.close()


@pytest.fixture
def sound(real_data: Path) -> npt.NDArray[np.float32]:
    """Somebody whom the model never heard spells a name."""
    (row,) = [row for row in read_manifest(real_data / "an4") if row.text == NAME]
    with open_decoder() as decode:
        return decode(row.audio)


def test_a_corrected_name_is_right_in_the_next_sentence(
    engine: SpeechEngine, sound: npt.NDArray[np.float32], tmp_path: Path
) -> None:
    database = Database(tmp_path / "device.sqlite", MIGRATIONS)
    vocabulary = Vocabulary(database, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    heard = engine.transcribe(sound, Hints(terms=vocabulary.active()))
    assert heard.text != NAME
    assert vocabulary.learn(uuid.uuid4(), heard.text, NAME) == (NAME,)
    again = engine.transcribe(sound, Hints(terms=vocabulary.active()))
    assert (again.text, again.terms) == (NAME, (NAME,))
    assert "".join(word.text for word in again.words) == NAME.replace(" ", "")
    assert again.words[-1].end_s <= len(sound) / 16_000
    vocabulary.remove(NAME)
    assert engine.transcribe(sound, Hints(terms=vocabulary.active())).text == heard.text
    database.close()
