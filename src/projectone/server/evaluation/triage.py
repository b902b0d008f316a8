"""Is training the answer? What new samples can teach, weighed before a step is taken.

A run is pointless if production already writes what people corrected, if there is too little to learn from, or if the
golden set could not tell the best model that these samples can make from chance. Then the verdict is `no-train`, with
its reasons and with what a person could do about it.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from projectone.contracts.scores import UtteranceScore, Verdict
from projectone.server.evaluation.bootstrap import Interval, ratio_interval
from projectone.server.evaluation.gate import GateConfig
from projectone.server.evaluation.power import GatePower
from projectone.speech.normalize import normalize_text
from projectone.speech.wer import align

_MOST_TERMS_NAMED = 10


_OF_NO_USE = "what it knows teaches it nothing"


@dataclass(frozen=True, kw_only=True)
class TriageWords:
    """What a family of models learns from, in words for people.

    Attributes:
        rate: What production's error rate is.
        of: What that is a share of.
        samples: What people give.
        lessons: What production gets wrong, of which there must be some.
        collect: How to get more of them.
        enlarge: How a golden set gets harder.
        are_spoken: Whether samples last minutes, and single words could be taught by a list.
    """

    rate: str = "word error rate"
    of: str = "words"
    samples: str = "clips"
    lessons: str = "distinct words"
    collect: str = f"collect recordings of what production gets wrong; {_OF_NO_USE}"
    enlarge: str = (
        "add recordings to the golden set that production gets wrong, such as those of the people who correct"
    )
    are_spoken: bool = True


SPEECH_LESSONS = TriageWords()
INTENT_LESSONS = TriageWords(
    rate="intent error rate",
    of="texts",
    samples="sentences",
    lessons="distinct intents",
    collect=f"collect corrections of sentences that production gets wrong; {_OF_NO_USE}",
    enlarge="add texts to the golden set that production gets wrong, such as those that people correct",
    are_spoken=False,
)


@dataclass(frozen=True, kw_only=True)
class TriageConfig:
    """When training is worth while. The defaults stop only what is pointless; a larger team may ask for more.

    Attributes:
        max_clips: No more new clips than this are transcribed, drawn evenly from all speakers.
        min_speakers: Fewer people than this make no release.
        min_minutes: Less speech than this makes no release.
        min_terms: Fewer distinct words that production gets wrong are no lesson.
        negligible_wer: Where the 95 % interval of production's error on the new samples reaches down to this fraction
            of the words, chance explains the errors.
        min_term_speakers: A word is named in a proposal only if this many people corrected it: what few say may be
            private, and no row that names it would be erased with their samples.
        gate: What the gate will ask for.
        seed: Of the draw.
        words: What the samples are.
    """

    max_clips: int = 200
    min_speakers: int = 1
    min_minutes: float = 0.25
    min_terms: int = 1
    negligible_wer: float = 0.005
    min_term_speakers: int = 3
    gate: GateConfig = field(default_factory=GateConfig)
    seed: int = 0
    words: TriageWords = SPEECH_LESSONS

    def __post_init__(self) -> None:
        for name in ("max_clips", "min_term_speakers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)!r}")
        for name in ("min_speakers", "min_minutes", "min_terms"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)!r}")
        if not 0 <= self.negligible_wer < 1:
            raise ValueError(f"negligible_wer: expected 0 <= negligible_wer < 1, got {self.negligible_wer!r}")


@dataclass(frozen=True, kw_only=True)
class Triage:
    """What was found about new samples, and what follows.

    Attributes:
        decision: Whether to train.
        reasons: Why not; empty if training is worth while.
        proposals: What a person could do about it.
        wer: Production's word error rate on the new samples; `low` and `high` bound it with 95 % confidence.
        n_clips: New clips.
        n_heard: Those of them that production transcribed.
        n_speakers: People who gave them.
        minutes: Of all new clips.
        n_terms: Distinct words of the corrections that production got wrong.
        terms: Those of them that enough people corrected, the most frequent first.
        smallest_gain: The smallest gain that the gate could confirm (a fraction of the words); None if it could confirm
            none, or if there is no golden set.
        words: What the samples are. Of sentences with an intent each counts as one word, which is the intent.
    """

    decision: Literal["train", "no-train"]
    reasons: tuple[str, ...]
    proposals: tuple[str, ...]
    wer: Interval
    n_clips: int
    n_heard: int
    n_speakers: int
    minutes: float
    n_terms: int
    terms: tuple[str, ...]
    smallest_gain: float | None
    words: TriageWords = SPEECH_LESSONS

    @property
    def is_worth_training(self) -> bool:
        """Whether anything speaks for a run."""
        return self.decision == "train"

    def verdict(self) -> Verdict:
        """The refusal in the words of the gate.

        Raises:
            ValueError: if training is worth while; then the gate has the word.
        """
        if self.decision != "no-train":
            raise ValueError("decision: expected 'no-train', got 'train'")
        return Verdict(
            decision="no-train",
            reasons=self.reasons,
            proposals=self.proposals,
            gain=self.wer.value,
            gain_low=self.wer.low,
            gain_high=self.wer.high,
        )

    def summary(self) -> str:
        """The numbers in one line."""
        least = "unknown" if self.smallest_gain is None else f"{100 * self.smallest_gain:.1f} points"
        words, lasting = self.words, f"{self.minutes:.1f} min, " if self.words.are_spoken else ""
        return (
            f"{self.n_clips} new {words.samples} ({lasting}{self.n_speakers} people); {words.rate} {_rate(self.wer)} "
            f"on {self.n_heard} of them, {self.n_terms} {words.lessons} wrong; smallest gain that can be confirmed: "
            f"{least}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        plain = asdict(self)
        del plain["words"]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


def draw_clips(clips: Iterable[tuple[str, str]], config: TriageConfig) -> set[str]:
    """Ids of at most `max_clips` clips: one of each speaker, then the next of each, in a seeded order.

    Args:
        clips: Id and speaker of each.
        config: Limit and seed.
    """

    def rank(name: str) -> str:
        return hashlib.sha256(f"{config.seed}/{name}".encode()).hexdigest()

    by_speaker: defaultdict[str, list[str]] = defaultdict(list)
    for clip_id, speaker in clips:
        by_speaker[speaker].append(clip_id)
    turns = [
        (turn, rank(speaker), clip_id)
        for speaker, own in by_speaker.items()
        for turn, clip_id in enumerate(sorted(own, key=rank))
    ]
    return {clip_id for _, _, clip_id in sorted(turns)[: config.max_clips]}


def triage(
    heard: Sequence[UtteranceScore],
    texts: Mapping[str, str],
    *,
    n_clips: int,
    n_speakers: int,
    minutes: float,
    power: GatePower | None,
    config: TriageConfig | None = None,
    language: str = "en",
) -> Triage:
    """Weigh new samples against what they could change.

    Args:
        heard: What production made of some of the new clips, against their corrected texts.
        texts: The corrected text of each of them, by clip id.
        n_clips: New clips, heard or not.
        n_speakers: People who gave them.
        minutes: Of all of them.
        power: What the golden set could show; None without one.
        config: When training is worth while.
        language: Of the texts.
    """
    config = config or TriageConfig()
    spoken = [utterance for utterance in heard if utterance.n_words]
    wer = ratio_interval(
        [utterance.word_errors for utterance in spoken],
        [utterance.n_words for utterance in spoken],
        [utterance.speaker for utterance in spoken],
        n_resamples=config.gate.n_resamples,
        are_speakers_fixed=len({utterance.speaker for utterance in spoken}) < config.gate.few_speakers,
        seed=config.gate.seed,
    )
    n_terms, terms = _terms(spoken, texts, config, language)
    smallest = None if power is None else power.smallest_gain()
    found = [
        *_too_little(n_speakers, minutes, n_terms, config),
        *_already_known(wer, config),
        *_beyond_proof(wer, power, smallest, config.words),
    ]
    reasons = tuple(reason for reason, _ in found)
    proposals = [proposal for _, proposal in found]
    if reasons and terms:
        proposals.append(f"a list of terms teaches single words sooner than training: {', '.join(terms)}")
    return Triage(
        decision="no-train" if reasons else "train",
        reasons=reasons,
        proposals=tuple(dict.fromkeys(proposals)),
        wer=wer,
        n_clips=n_clips,
        n_heard=len(heard),
        n_speakers=n_speakers,
        minutes=round(minutes, 3),
        n_terms=n_terms,
        terms=terms,
        smallest_gain=smallest,
        words=config.words,
    )


def _too_little(n_speakers: int, minutes: float, n_terms: int, config: TriageConfig) -> list[tuple[str, str]]:
    """Reasons and proposals where one of the counts is too small."""
    found = []
    if n_speakers < config.min_speakers:
        found.append(
            (
                f"{n_speakers} people gave samples, at least {config.min_speakers} are asked for",
                f"collect corrections of {config.min_speakers - n_speakers} more people",
            )
        )
    if minutes < config.min_minutes:
        found.append(
            (
                f"{minutes:.2f} minutes of new speech, at least {config.min_minutes:g} are asked for",
                f"collect {config.min_minutes - minutes:.2f} more minutes of corrected speech",
            )
        )
    if n_terms < config.min_terms:
        found.append(
            (
                f"production gets {n_terms} {config.words.lessons} wrong, at least {config.min_terms} are asked for",
                config.words.collect,
            )
        )
    return found


def _already_known(wer: Interval, config: TriageConfig) -> list[tuple[str, str]]:
    """A reason and a proposal where production writes what people corrected."""
    if wer.low > config.negligible_wer:
        return []
    words, verb = config.words, "writes" if config.words.are_spoken else "understands"
    reason = f"production already {verb} the new samples as corrected, but for chance: {words.rate} {_rate(wer)}"
    return [(reason, words.collect)]


def _beyond_proof(
    wer: Interval, power: GatePower | None, smallest: float | None, words: TriageWords
) -> list[tuple[str, str]]:
    """A reason and a proposal where the golden set could not show what may be learned."""
    if power is None or (smallest is not None and smallest <= wer.high):
        return []
    if smallest is None:
        reason = (
            f"the golden set can confirm no gain at all: production's {words.rate} on it, {100 * power.wer:.1f} % "
            f"of {power.n_words} {words.of}, cannot be told from zero"
        )
    else:
        reason = (
            f"the golden set confirms gains from {100 * smallest:.1f} points of {words.rate} on, the new samples "
            f"hold {100 * wer.high:.1f} at most"
        )
    times = power.times_needed(wer.high) if wer.high > 0 else None
    if times is None:
        proposal = words.enlarge
    else:
        proposal = f"enlarge the golden set to about {times * power.n_words} {words.of}, {times} times as many as now"
    return [(reason, proposal)]


def _terms(
    spoken: Sequence[UtteranceScore], texts: Mapping[str, str], config: TriageConfig, language: str
) -> tuple[int, tuple[str, ...]]:
    """How many distinct words production got wrong, and which of them many people corrected; of intents, how many."""
    if not config.words.are_spoken:
        return len({texts[utterance.clip_id] for utterance in spoken if utterance.word_errors}), ()
    count: Counter[str] = Counter()
    people: defaultdict[str, set[str]] = defaultdict(set)
    for utterance in spoken:
        said = normalize_text(texts[utterance.clip_id], language=language).split()
        for edit in align(said, normalize_text(utterance.hypothesis, language=language).split()):
            if edit.kind in ("substitute", "delete") and edit.reference is not None:
                count[edit.reference] += 1
                people[edit.reference].add(utterance.speaker)
    ordered = sorted(count, key=lambda word: (-count[word], word))
    named = [word for word in ordered if len(people[word]) >= config.min_term_speakers]
    return len(count), tuple(named[:_MOST_TERMS_NAMED])


def _rate(wer: Interval) -> str:
    return f"{100 * wer.value:.1f} % (95 % interval {100 * wer.low:.1f} to {100 * wer.high:.1f})"
