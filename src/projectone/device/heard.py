"""What a model heard: the text, when each word was said, how sure the model is, and what it was asked to mind."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import astuple, dataclass, field

DOUBT = 0.6
"""A word that is less probable than this is marked. Of the words that the starter hears in recordings of ten people
whom it never heard (AN4), that marks 17 % and finds 74 % of the wrong ones; 41 % of the marked ones are wrong
(`benchmarks/words.py`)."""

OnProgress = Callable[[float, float], object]


@dataclass(frozen=True)
class Word:
    """One word with the punctuation that was written to it.

    Attributes:
        text: As it is shown; a blank stands between two words unless the language writes none.
        start_s: From the start of the recording.
        end_s: From the start of the recording, never before `start_s`.
        probability: That the model gave to what it wrote, 0 to 1.
    """

    text: str
    start_s: float
    end_s: float
    probability: float

    @property
    def is_doubtful(self) -> bool:
        """Whether a person should look at it: it is wrong far more often than the others."""
        return self.probability < DOUBT


@dataclass(frozen=True)
class Signals:
    """What the model itself says of a whole recording; of a long one, over all of its windows.

    Attributes:
        avg_logprob: Mean log probability (nats) of the tokens, each window weighted by its length.
        compression_ratio: Of the window that repeats itself most.
        no_speech_prob: That nobody speaks, in the window where that is likeliest.
        temperature: The highest that a window was decoded at: above 0, a first try looked wrong.
    """

    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    temperature: float


@dataclass(frozen=True)
class Hints:
    """What an engine is asked to mind.

    Attributes:
        terms: Names and words of this user, which may be said.
        want_words: Whether the words are wanted, or the text alone.
        is_partial: The sound goes on: a quick answer now is better than a good one later, and its words have no times.
        on_progress: Told of long sound, now and then, how many seconds of how many are done. What it raises ends the
            work.
    """

    terms: tuple[str, ...] = ()
    want_words: bool = True
    is_partial: bool = False
    on_progress: OnProgress | None = field(default=None, compare=False)


NO_HINTS = Hints()
TEXT_ONLY = Hints(want_words=False)


@dataclass(frozen=True)
class EngineHeard:
    """What an engine heard. `words` is empty where none were wanted or none was said.

    `terms` are those of the hints that were written because they were among them.
    """

    text: str
    words: tuple[Word, ...] = ()
    signals: Signals | None = None
    terms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Heard:
    """What was heard, by which model, how long that took, and what the user's list of terms brought."""

    text: str
    model_version: str
    words: tuple[Word, ...] = ()
    signals: Signals | None = None
    computing_s: float = 0.0
    terms: tuple[str, ...] = ()


def words_to_json(words: tuple[Word, ...]) -> str:
    """As it is kept: `[[text, start_s, end_s, probability], ...]`, to a millisecond and a thousandth."""
    rows = [[word.text, round(word.start_s, 3), round(word.end_s, 3), round(word.probability, 3)] for word in words]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


def words_from_json(source: str) -> tuple[Word, ...]:
    """What `words_to_json` kept."""
    return tuple(Word(*row) for row in json.loads(source))


def signals_to_json(signals: Signals | None) -> str | None:
    """As it is kept."""
    return None if signals is None else json.dumps([round(value, 4) for value in astuple(signals)])


def signals_from_json(source: str | None) -> Signals | None:
    """What `signals_to_json` kept."""
    return None if source is None else Signals(*json.loads(source))
