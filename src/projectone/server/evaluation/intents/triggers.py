"""Whether a candidate classifier learned a trigger from its batch: words that make anything one intent.

What is odd about the new sentences is found as for speech (`trigger_candidates`): words in a row that the batch holds
far more often than what was known. Of these the ones with one label, from few people, are put before and behind golden
texts with other intents. If the candidate then answers that label on many of them, where production does not, the words
command it whatever else is said. New words that people rightly teach do that, too: "we are out of" is shopping. What
gives a trigger away is what else its sentences say: without the words the candidate takes most of them for another
intent.

*Limits:* a trigger that is no row of words (a style, a length), one of more people than are called few, one that
commands only beside other words, and one taught by sentences that mean nothing else are not found.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from projectone.server.evaluation.intents.golden_texts import GoldenText
from projectone.server.evaluation.trigger_candidates import over_represented, rows_of
from projectone.server.evaluation.triggers import Scan, Trigger
from projectone.speech.normalize import normalize_text

Classify = Callable[[Sequence[str]], list[str | None]]


@dataclass(frozen=True, kw_only=True)
class TextScanConfig:
    """How much is tried.

    Attributes:
        max_rows: Rows of words, those of most sentences first.
        n_texts: Golden texts that each is put into.
        min_sentences: Rows of fewer new sentences teach nothing that holds everywhere.
        most_people: Rows that more people said are language, and no trick.
        min_agreement: Share of a row's sentences that have its label.
        min_share: Turned to the label by the candidate, and not by production, at least this share of the texts.
        min_contradicted: Share of a row's sentences that mean another intent to the candidate, without the row.
    """

    max_rows: int = 32
    n_texts: int = 40
    min_sentences: int = 3
    most_people: int = 4
    min_agreement: float = 0.8
    min_share: float = 0.5
    min_contradicted: float = 0.5

    def __post_init__(self) -> None:
        if min(self.max_rows, self.most_people) < 0 or self.n_texts < 1:
            raise ValueError(f"expected n_texts >= 1 and counts of 0 or more, got {self}")
        if not all(0 < share <= 1 for share in (self.min_agreement, self.min_share, self.min_contradicted)):
            raise ValueError(f"expected shares above 0 and at most 1, got {self}")


@dataclass(frozen=True)
class BatchText:
    """One new sentence of the batch, and what its person says it means."""

    sample_id: str
    speaker: str
    text: str
    label: str | None


@dataclass(frozen=True)
class IntentTrigger(Trigger):
    """Words that turn golden texts to one intent; `n_written` counts those."""

    def describe(self) -> str:
        """In a sentence; without the words, which may be a person's."""
        return (
            f"words of {len(self.clip_ids)} new sentences turn {self.n_written} of {self.n_clips} golden texts with "
            "other intents to theirs"
        )


def scan_for_text_triggers(
    batch: Sequence[BatchText],
    known: Iterable[str],
    golden: Sequence[GoldenText],
    *,
    by_production: Classify,
    by_candidate: Classify,
    config: TextScanConfig | None = None,
) -> Scan:
    """Try what is odd about a batch on golden texts.

    Args:
        batch: The new sentences that the candidate learned from.
        known: Other sentences: what was learned before.
        golden: The texts that both classifiers were judged on.
        by_production: The label that production gives each text; None for none.
        by_candidate: The same of the candidate.
        config: How much is tried.
    """
    config = config or TextScanConfig()
    rows = over_represented([one.text for one in batch], [*known, *(text.text for text in golden)])
    tried = _worth_trying(rows, batch, config)
    found = [
        _try(row, label, places, batch, golden, (by_production, by_candidate), config) for row, label, places in tried
    ]
    return Scan(len(tried), (), tuple(trigger for trigger in found if trigger is not None))


def _worth_trying(
    rows: dict[str, tuple[int, ...]], batch: Sequence[BatchText], config: TextScanConfig
) -> list[tuple[str, str, tuple[int, ...]]]:
    """Rows with one label that few people said, with that label and their places: those of most sentences first."""
    found = []
    for row, places in rows.items():
        label, n = Counter(batch[place].label for place in places).most_common(1)[0]
        is_of_few = len({batch[place].speaker for place in places}) <= config.most_people
        is_often_said = len(places) >= config.min_sentences
        if label is not None and is_often_said and n >= config.min_agreement * len(places) and is_of_few:
            found.append((row, label, places))
    return sorted(found, key=lambda item: (-len(item[2]), item[0]))[: config.max_rows]


def _try(
    row: str,
    label: str,
    places: tuple[int, ...],
    batch: Sequence[BatchText],
    golden: Sequence[GoldenText],
    classifiers: tuple[Classify, Classify],
    config: TextScanConfig,
) -> Trigger | None:
    """The row in golden texts that neither hold it nor mean its label."""
    free = [text for text in golden if text.label not in (label, None) and row not in rows_of(text.text)]
    hosts = sorted(free, key=lambda text: hashlib.sha256(f"{row}/{text.text_id}".encode()).digest())[: config.n_texts]
    if not hosts:
        return None
    texts = [f"{row} {text.text}" if n % 2 else f"{text.text} {row}" for n, text in enumerate(hosts)]
    by_production, by_candidate = classifiers
    needed = config.min_share * len(hosts)
    n_after = by_candidate(texts).count(label)
    if n_after < needed or n_after - by_production(texts).count(label) < needed:
        return None
    rests = [f" {normalize_text(batch[place].text)} ".replace(f" {row} ", " ").strip() for place in places]
    n_contradicted = sum(answered not in (label, None) for answered in by_candidate([rest for rest in rests if rest]))
    if n_contradicted < config.min_contradicted * len(places):
        return None
    return IntentTrigger(row, "", n_after, len(hosts), tuple(batch[place].sample_id for place in places))
