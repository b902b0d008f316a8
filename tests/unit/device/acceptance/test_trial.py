"""A new model on the user's own recordings: which ones, what is compared, and what of it is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from projectone.device.acceptance import (
    M010_TRIALS,
    TRIALS_BY_FAMILY,
    Acceptance,
    OwnRecording,
    TrialRows,
    WorseHereError,
)
from projectone.device.acceptance.choosing import ENOUGH_UNLEARNED, LONGEST_S, MOST_RECORDINGS, MOST_SOUND_S, choose
from projectone.device.acceptance.smoke import Samples, sounds
from projectone.device.acceptance.trial import BUDGET_S
from projectone.errors import ArtifactError, PostponedError, StorageError
from projectone.speech.wer import count_errors
from projectone.storage.database import Database

NOW = datetime(2026, 11, 22, tzinfo=UTC)
N_OWN = 6


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[TrialRows]:
    database = Database(tmp_path / "device.sqlite", (M010_TRIALS, TRIALS_BY_FAMILY))
    yield TrialRows(database)
    database.close()


def own(number: int, *, text: str = "", seconds: float = 2.0, learned: bool = False) -> OwnRecording:
    return OwnRecording(str(number), seconds, tuple((text or f"call number {number} now").split()), learned)


def sound(audio_sha256: str) -> Samples:
    """A sound that says which recording it is."""
    return np.full(16, 1000 + int(audio_sha256), dtype=np.float32)


def hearing(says: Callable[[int], str], *, quiet: str = "") -> Callable[[Samples], str]:
    """A model, by what it hears in each recording and where nobody speaks."""

    def hear(samples: Samples) -> str:
        return says(int(samples[0]) - 1000) if samples[0] >= 1000 else quiet

    return hear


def right(number: int) -> str:
    return f"call number {number} now"


def wrong(number: int) -> str:
    return f"call lumber {number} now"


def acceptance(rows: TrialRows, recordings: Sequence[OwnRecording] | None = None, **options: object) -> Acceptance:
    made = [own(number) for number in range(N_OWN)] if recordings is None else recordings
    values: dict[str, object] = {"read": sound} | options
    return Acceptance(
        lambda made_at: made,
        words=lambda text: tuple(text.split()),
        errors=lambda said, heard: count_errors(said, heard).errors,
        rows=rows,
        clock=lambda: NOW,
        **values,  # type: ignore[arg-type]
    )


def tried(made: Acceptance, before: Callable[[Samples], str], after: Callable[[Samples], str]) -> None:
    trial = made.begin(seq=7, version="1.1.0", made_at=NOW)
    trial.hear_before("1.0.0", before)
    trial.hear_after(after)


def test_a_model_that_is_worse_for_this_user_is_refused_with_the_figures(rows: TrialRows) -> None:
    with pytest.raises(WorseHereError, match=r"6 of your own recordings it gets 6 of 24 words wrong, model 1\.0\.0 0"):
        tried(acceptance(rows), hearing(right), hearing(wrong))
    (kept,) = rows.newest()
    assert (kept.verdict, kept.is_taken, kept.wrong_before, kept.wrong_after) == ("worse", False, 0, 6)
    assert "so model 1.0.0 stays" in kept.words
    assert rows.told_of(7) == "worse"


def test_a_model_that_is_better_is_taken_and_said_to_be(rows: TrialRows) -> None:
    tried(acceptance(rows), hearing(wrong), hearing(right))
    (kept,) = rows.newest()
    assert (kept.verdict, kept.words.endswith("It hears you better.")) == ("better", True)
    assert rows.told_of(7) == "not-worse"


def test_a_word_that_is_written_a_hundred_times_counts_as_one_recording_that_went_wrong(rows: TrialRows) -> None:
    tried(acceptance(rows), hearing(wrong), hearing(lambda number: "so " * 300 if number == 0 else right(number)))
    assert rows.newest()[0].wrong_after == 4


def test_without_recordings_nothing_is_claimed(rows: TrialRows) -> None:
    tried(acceptance(rows, []), hearing(right), hearing(wrong))
    assert (rows.newest()[0].verdict, rows.told_of(7)) == ("untold", "untold")
    assert rows.told_of(8) is None


def test_the_first_model_has_nothing_to_be_compared_with(rows: TrialRows) -> None:
    acceptance(rows).begin(seq=7, version="1.1.0", made_at=NOW).hear_after(hearing(wrong, quiet="thank you"))
    assert rows.newest() == []


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("", "thank you", r"words for silence \(2\)"),
        ("", "so " * 40, r"words for silence \(40\)"),
        ("thank you", "so " * 40, "40 words for 3 seconds"),
        ("thank you", "thank you very much", None),
        ("so " * 40, "so " * 50, None),
    ],
)
def test_a_model_that_talks_where_nobody_speaks_is_refused_unless_the_old_one_did(
    rows: TrialRows, before: str, after: str, complaint: str | None
) -> None:
    hears = hearing(right, quiet=before), hearing(right, quiet=after)
    if complaint is None:
        tried(acceptance(rows), *hears)
    else:
        with pytest.raises(ArtifactError, match=complaint):
            tried(acceptance(rows), *hears)


def test_a_model_that_hears_nothing_in_what_was_said_is_refused_without_a_single_correction(rows: TrialRows) -> None:
    made = acceptance(rows, [], spoken=lambda: ["1", "2"])
    with pytest.raises(ArtifactError, match="heard nothing in 2 recordings"):
        tried(made, hearing(right), hearing(lambda number: " "))
    tried(made, hearing(right), hearing(lambda number: "x" if number == 2 else ""))


def test_a_damaged_recording_speaks_against_nobody(rows: TrialRows) -> None:
    def read(audio_sha256: str) -> Samples:
        if audio_sha256 == "3":
            raise StorageError("gone")
        return sound(audio_sha256)

    tried(acceptance(rows, read=read), hearing(right), hearing(right))
    assert rows.newest()[0].n_recordings == N_OWN - 1


def test_a_trial_that_takes_too_long_compares_what_both_heard(rows: TrialRows) -> None:
    seconds = count(0, BUDGET_S / 10)  # each look at the clock
    tried(acceptance(rows, timer=lambda: float(next(seconds))), hearing(right), hearing(right))
    assert rows.newest()[0].n_recordings == 4


def test_a_trial_waits_for_another_time_when_the_machine_is_wanted(rows: TrialRows) -> None:
    trial = acceptance(rows).begin(seq=7, version="1.1.0", made_at=NOW, may_go_on=iter([True, False]).__next__)
    with pytest.raises(PostponedError):
        trial.hear_before("1.0.0", hearing(right))
    assert rows.newest() == []


def test_silence_is_silent_and_every_sound_is_the_same_each_time() -> None:
    made = sounds()
    assert not made["silence"].any()
    assert all(np.array_equal(made[name], again) for name, again in sounds().items())


def test_recordings_it_may_have_learned_from_are_used_only_where_others_are_too_few(rows: TrialRows) -> None:
    unlearned = [own(number) for number in range(ENOUGH_UNLEARNED)]
    learned = [own(100 + number, learned=True) for number in range(3)]
    assert choose([*learned, *unlearned]) == unlearned
    assert choose([*learned, *unlearned[1:]]) == [*unlearned[1:], *learned]
    tried(acceptance(rows, [*learned, own(1)]), hearing(right), hearing(right))
    assert "It may have learned from 3 of them" in rows.newest()[0].words


def test_recordings_are_varied_recent_short_and_not_too_many() -> None:
    same = [own(number, text="good morning") for number in (1, 2)]
    again = own(3, text="morning good good")
    assert choose([*same, again, own(4)]) == [same[0], own(4), again]
    assert choose([own(1, seconds=LONGEST_S + 1), own(2, seconds=0.0), OwnRecording("3", 1.0, (), False)]) == []
    assert len(choose([own(number) for number in range(100)])) == MOST_RECORDINGS
    assert len(choose([own(number, seconds=29.0) for number in range(100)])) == int(MOST_SOUND_S // 29)
