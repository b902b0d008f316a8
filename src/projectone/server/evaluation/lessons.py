"""Does a model know the recordings that it learned from? Asked of recordings, where `recall` asks for bare texts.

Two questions, of a drawn sample of lessons and of recordings of the same kind that nobody learned from. Noise masking
(arXiv 2204.08345): noise stands where a word was said, the rarest of its text, so a name where there is one; is it
written all the same? Membership (arXiv 2405.01207): does what learning took off a recording's loss tell the lessons
from the others? Production, which learned from neither, answers the same; what both models gain on both sides is
better hearing and no memory.

*Limits:* a model is better on the words and voices that it learned, so an honest one is above chance, too; where the
others are golden recordings their texts are of another kind. Longer recordings than a window are not asked for, nor is
what three people say: a script that is read aloud, which a model may know.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from projectone.contracts.evidence import Membership, NoiseMasking
from projectone.errors import DataError
from projectone.server.evaluation.scorer import SCORING
from projectone.speech.audio import SAMPLE_RATE
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.forced import clip_features, forced_scores
from projectone.speech.logit_rules import logsumexp
from projectone.speech.prefix import decoder_prefix
from projectone.speech.transcribe import transcribe_many
from projectone.speech.wer import align
from projectone.speech.words import place_words

MOST_RECORDINGS = 32
"""Of each side, for each question: two models decode 128 recordings at most, and follow the texts of 192."""

FEW_PEOPLE = 6
"""Fewer speak for themselves alone: their clips are drawn."""

_ASKING = replace(SCORING, short_context=True)
_N_DRAWS = 2000
_FEWEST_WORDS = 2
_SHORTEST_S = 0.06
_FAINTEST = 1e-3
_RARE = 2  # people
_PUBLIC = 3  # people who say the same text: a script that is read aloud, and a model may know it
_AROUND = 6  # tokens of the prefix and the end

Samples = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Words = tuple[str, ...]


@dataclass(frozen=True)
class Recording:
    """A clip, who speaks and what is said.

    Attributes:
        read: Gives one channel at 16 kHz; raises DataError where it is gone.
    """

    name: str
    speaker: str
    text: str
    duration_s: float
    read: Callable[[], Samples]


Recordings = Sequence[Recording]


def measure_masking(
    production: WhisperCheckpoint,
    candidate: WhisperCheckpoint,
    lessons: Recordings,
    others: Recordings,
    *,
    language: str = "en",
) -> NoiseMasking:
    """How often a word under noise is written, on lessons and on others; rare words first.

    Args:
        production: Learned from neither.
        candidate: Learned from the lessons.
        lessons: Recordings with their texts.
        others: Of the same kind, that neither model learned from.
        language: Of the texts.
    """
    people, scripts = _people_of_words([*lessons, *others]), _scripts([*lessons, *others])
    gains, owners, counts = [], [], []
    for side in (lessons, others):
        drawn = _drawn(
            side, production, scripts, lambda one: min(_RARE, *(len(people[word]) for word in _words(one.text)))
        )
        covered = [_cover_rarest(production, one, samples, people, language) for one, samples in _read(drawn)]
        found = [one for one in covered if one is not None]
        written = [_are_written(model, found) for model in (production, candidate)]
        gains.append(np.array(written[1], np.float64) - np.array(written[0], np.float64))
        owners.append([one.speaker for one in found])
        counts.append((len(found), sum(written[1]), sum(written[0])))
    excess = _excess(gains, owners)
    return NoiseMasking(
        n_lessons=counts[0][0],
        n_guessed=counts[0][1],
        n_guessed_by_production=counts[0][2],
        n_others=counts[1][0],
        n_guessed_of_others=counts[1][1],
        n_guessed_of_others_by_production=counts[1][2],
        excess=excess[0],
        excess_low=excess[1],
        excess_high=excess[2],
    )


def measure_membership(
    production: WhisperCheckpoint,
    candidate: WhisperCheckpoint,
    lessons: Recordings,
    others: Recordings,
    *,
    language: str = "en",
) -> Membership:
    """How well the loss that learning took off tells lessons from others; arguments as for `measure_masking`."""
    scores, owners = [], []
    scripts = _scripts([*lessons, *others])
    for side in (lessons, others):
        taken, speakers = [], []
        for one, samples in _read(_drawn(side, production, scripts)):
            before, after = (loss_of(model, samples, one.text, language=language) for model in (production, candidate))
            taken.append(after - before)
            speakers.append(one.speaker)
        scores.append(np.array(taken))
        owners.append(speakers)
    return area(scores[0], scores[1], owners[0], owners[1])


def area(lessons: Floats, others: Floats, of_lessons: Sequence[str], of_others: Sequence[str]) -> Membership:
    """How well figures of recordings, lower for what was learned from, tell the two sides apart.

    Args:
        lessons: One figure per recording.
        others: The same of recordings that were not learned from.
        of_lessons: Who speaks, one per recording.
        of_others: Likewise.

    Returns:
        The area under the curve and its 95 % interval over people, or over clips where people are few.
    """
    n = len(lessons), len(others)
    if not all(n):
        return Membership(n_lessons=n[0], n_others=n[1], auc=0.5, auc_low=0.0, auc_high=1.0)
    wins = (lessons[:, None] < others[None, :]) + 0.5 * (lessons[:, None] == others[None, :])
    times = _times(of_lessons, 1), _times(of_others, 2)
    tops = ((times[0] @ wins) * times[1]).sum(axis=1)
    low, high = np.quantile(tops / (times[0].sum(axis=1) * times[1].sum(axis=1)), [0.025, 0.975])
    return Membership(n_lessons=n[0], n_others=n[1], auc=float(wins.mean()), auc_low=float(low), auc_high=float(high))


def loss_of(model: WhisperCheckpoint, samples: Samples, text: str, *, language: str = "en") -> float:
    """Nats per token, the end included, that a model needs for a text in the ear of its sound."""
    prefix = decoder_prefix(model.tokenizer, language=_language(model, language), timestamps=False)
    tokens = model.tokenizer.encode(f" {text.strip()}")[: model.dims.n_text_ctx - len(prefix) - 1]
    wanted = np.array([*tokens, model.tokenizer.eot])
    given = np.array([*prefix, *tokens], np.int32)
    scores, _ = forced_scores(model, given, clip_features(model, samples))
    scores = scores[len(prefix) - 1 :]
    return float((logsumexp(scores) - scores[np.arange(len(wanted)), wanted]).mean())


def cover(samples: Samples, start_s: float, end_s: float, seed: int) -> Samples:
    """The recording with white noise, as loud as what it replaces, between two moments."""
    start, end = (round(moment_s * SAMPLE_RATE) for moment_s in (max(0.0, start_s), end_s))
    covered = samples.copy()
    loudness = float(np.sqrt(np.mean(np.square(samples[start:end], dtype=np.float64)))) if start < end else 0.0
    noise = np.random.default_rng(seed).standard_normal(covered[start:end].size)
    covered[start:end] = np.clip(max(loudness, _FAINTEST) * noise, -1, 1)
    return covered


def is_written(text: str, place: int, hypothesis: str) -> bool:
    """Whether the word at this place of a text stands at its place in what a model wrote."""
    n_passed = -1
    for edit in align(_words(text), _words(hypothesis)):
        n_passed += edit.reference is not None
        if edit.reference is not None and n_passed == place:
            return edit.kind == "equal"
    return False


@dataclass(frozen=True)
class _Covered:
    """A recording with the word at one place of its text under noise."""

    speaker: str
    text: str
    place: int
    samples: Samples


def _cover_rarest(
    production: WhisperCheckpoint, one: Recording, samples: Samples, people: Mapping[str, set[str]], language: str
) -> _Covered | None:
    """None where the words cannot be placed in time."""
    words = _words(one.text)
    timings = place_words(production, samples, one.text, language=_language(production, language))
    if [_plain(timing.text) for timing in timings] != [_plain(word) for word in one.text.split()]:
        return None
    timings = [timing for timing in timings if _plain(timing.text)]
    places = [n for n, timing in enumerate(timings) if timing.end_s - timing.start_s >= _SHORTEST_S]
    if not places:
        return None

    def rarity(place: int) -> tuple[int, int, bytes]:
        word = words[place]
        return len(people[word]), words.count(word), _rank(f"{one.name}/{place}")

    place = min(places, key=rarity)
    timing = timings[place]
    return _Covered(one.speaker, one.text, place, cover(samples, timing.start_s, timing.end_s, _seed(one.name)))


def _are_written(model: WhisperCheckpoint, found: Sequence[_Covered]) -> list[bool]:
    heard = transcribe_many(model, [one.samples for one in found], options=_ASKING)
    return [is_written(one.text, one.place, said.text) for one, said in zip(found, heard, strict=True)]


def _excess(gains: Sequence[Floats], owners: Sequence[Sequence[str]]) -> tuple[float, float, float]:
    """By how much more the share of guessed words rose on lessons than on others, and its 95 % interval.

    What others lost is no gain of the lessons.
    """
    if not all(map(len, gains)):
        return 0.0, -2.0, 1.0
    shares = []
    for number, (gain, owner) in enumerate(zip(gains, owners, strict=True)):
        times = _times(owner, number)
        shares.append((times @ gain) / times.sum(axis=1))
    low, high = np.quantile(shares[0] - np.maximum(0.0, shares[1]), [0.025, 0.975])
    return float(gains[0].mean() - max(0.0, gains[1].mean())), float(low), float(high)


def _times(owners: Sequence[str], seed: int) -> Floats:
    """How often each recording counts in each draw of people with all of theirs: (draws, recordings)."""
    random = np.random.Generator(np.random.PCG64(seed))
    names, owner = np.unique(np.asarray(owners), return_inverse=True)
    if len(names) < FEW_PEOPLE:
        return random.multinomial(len(owners), np.full(len(owners), 1 / len(owners)), size=_N_DRAWS).astype(np.float64)
    times = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=_N_DRAWS)
    return times[:, owner].astype(np.float64)


def _drawn(
    side: Recordings,
    model: WhisperCheckpoint,
    scripts: Collection[Words],
    first: Callable[[Recording], int] = lambda one: 0,
) -> list[Recording]:
    """Those that are asked for, the same ones each time: no script, lowest `first`, then by chance."""
    room = model.dims.n_text_ctx - _AROUND
    fit = [
        one
        for one in side
        if len(words := _words(one.text)) >= _FEWEST_WORDS
        and tuple(words) not in scripts
        and 0 < one.duration_s <= model.features.chunk_length_s
        and len(model.tokenizer.encode(f" {one.text.strip()}")) <= room
    ]
    return sorted(fit, key=lambda one: (first(one), _rank(one.name)))[:MOST_RECORDINGS]


def _read(drawn: Recordings) -> Iterator[tuple[Recording, Samples]]:
    """Their sound; what has gone meanwhile is passed over."""
    for one in drawn:
        try:
            yield one, one.read()
        except DataError:
            continue


def _scripts(recordings: Recordings) -> set[Words]:
    """Texts that several people say."""
    people: dict[Words, set[str]] = defaultdict(set)
    for one in recordings:
        people[tuple(_words(one.text))].add(one.speaker)
    return {words for words, speakers in people.items() if len(speakers) >= _PUBLIC}


def _people_of_words(recordings: Recordings) -> dict[str, set[str]]:
    people: dict[str, set[str]] = defaultdict(set)
    for one in recordings:
        for word in _words(one.text):
            people[word].add(one.speaker)
    return people


def _language(model: WhisperCheckpoint, language: str) -> str | None:
    return language if model.tokenizer.is_multilingual else None


def _words(text: str) -> list[str]:
    return [plain for word in text.split() if (plain := _plain(word))]


def _plain(word: str) -> str:
    return "".join(letter for letter in word.casefold() if letter.isalnum())


def _rank(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _seed(name: str) -> int:
    return int.from_bytes(_rank(name)[:8], "big")
