"""Failures of a decoder that an average hides: no text at all, runaway text, words that go round in circles."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from projectone.contracts.scores import CheckResult, UtteranceScore
from projectone.server.evaluation.checks.protocol import Code, Evidence, Pair, objection, passed, percent

# The same row of one to eight words, four times in succession.
_CIRCLE = re.compile(r"\b(\w+(?:\W+\w+){0,7}?)(?:\W+\1\b){3,}", re.IGNORECASE)
# Whisper's own limit: a text that shrinks to less than this share of itself repeats itself.
_COMPRESSION = 2.4
_SURPLUS_WORDS = 5
_LONGEST_SEARCHED = 4000


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Hardly a spoken clip comes out empty, runs away or turns in circles, unless production does it as often.

    Attributes:
        max_share: Of the spoken clips, for each of the three.
    """

    name: str = "texts"
    max_share: float = 0.02

    def __post_init__(self) -> None:
        if not 0 <= self.max_share <= 1:
            raise ValueError(f"max_share: expected 0 to 1, got {self.max_share!r}")

    def judge(self, evidence: Evidence) -> Sequence[CheckResult]:
        """See `Check`."""
        kinds: tuple[tuple[Code, str, Callable[[UtteranceScore], bool]], ...] = (
            ("empty-text", "come out empty", lambda heard: not has_words(heard.hypothesis)),
            ("runaway-text", "come out with runaway text", is_wordy),
            ("repetition-loop", "come out with words that go round in circles", is_circling),
        )
        return [self._judge_one(code, what, is_bad, evidence.spoken) for code, what, is_bad in kinds]

    def _judge_one(
        self, code: Code, what: str, is_bad: Callable[[UtteranceScore], bool], spoken: Sequence[Pair]
    ) -> CheckResult:
        before, after = (sum(is_bad(pair[side]) for pair in spoken) for side in (0, 1))
        told = f"{after} of {len(spoken)} of the spoken clips {what}"
        if after > before and after > self.max_share * len(spoken):
            reason = f"{told}; in production {before}, allowed {percent(self.max_share)}"
            return objection(self, "reject", code, reason)
        return passed(self, told)


def has_words(text: str) -> bool:
    """Whether there is anything to read."""
    return any(character.isalnum() for character in text)


def is_wordy(heard: UtteranceScore) -> bool:
    """More than twice the true length, and at least five words too many."""
    surplus = _surplus(heard)
    return surplus >= _SURPLUS_WORDS and surplus > heard.n_words


def is_circling(heard: UtteranceScore) -> bool:
    """The same words over and over, and more words than are said: "nine nine nine nine" may be a number."""
    if _surplus(heard) < _SURPLUS_WORDS:
        return False
    text = heard.hypothesis
    content = text.encode()
    is_repetitive = len(content) > _COMPRESSION * len(zlib.compress(content))
    return is_repetitive or _CIRCLE.search(text[:_LONGEST_SEARCHED]) is not None


def _surplus(heard: UtteranceScore) -> int:
    return len(heard.hypothesis.split()) - heard.n_words
