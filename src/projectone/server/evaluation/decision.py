"""What a verdict rests on, for a person with a minute: what got better, what got worse, for whom, by how much."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from projectone.contracts.evidence import ClassifierEvidence, Recall
from projectone.contracts.scores import EvaluationReport, UtteranceScore, Verdict
from projectone.server.evaluation.bootstrap import Interval, ratio_interval
from projectone.server.evaluation.checks import Resampling
from projectone.server.evaluation.checks.protocol import SPEECH_WORDS, Wording
from projectone.speech.normalize import normalize_text
from projectone.speech.wer import align

_N_RESAMPLES = 2_000  # a picture is read to a tenth of a point
_RESAMPLING = Resampling()

Kind = Literal["right", "wrong", "added", "missing"]
_KINDS: dict[str, Kind] = {"equal": "right", "substitute": "wrong", "insert": "added", "delete": "missing"}


@dataclass(frozen=True)
class Word:
    """A word that a model wrote, or left out, and whether it is what was said."""

    kind: Kind
    text: str


@dataclass(frozen=True, kw_only=True)
class ClipChange:
    """One clip that the models write differently well.

    Attributes:
        gained: Production's word errors minus the candidate's: positive is better.
        reference: What is said; None where the words may not be shown.
        before: What production wrote, word by word; empty where the words may not be shown.
        after: What the candidate wrote.
    """

    clip_id: str
    slice: str
    gained: int
    n_words: int
    reference: str | None = None
    before: tuple[Word, ...] = ()
    after: tuple[Word, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SliceChange:
    """One group of speakers: error rates of both models, and the gain with its interval, as fractions of the words."""

    name: str
    n_clips: int
    before: float
    after: float
    gain: Interval


@dataclass(frozen=True, kw_only=True)
class TierDecision:
    """What became of the model in one form, judged by the numbers in its package.

    Attributes:
        name: The tier.
        wer: Its word error rate, a fraction; None where it was not scored.
        verdict: Against what its devices have; None where it was not judged.
        cost: The same model in fewer bits against itself; None where it was not judged.
        objections: Why it is left out; empty where it is not.
    """

    name: str
    wer: float | None = None
    verdict: Verdict | None = None
    cost: Verdict | None = None
    objections: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """In words."""
        if self.objections:
            return "left out"
        return "waits" if self.verdict is None else "goes out"


def read_tier(name: str, made: Mapping[str, Any] | None) -> TierDecision:
    """A tier's decision from what its run remembers of it; None where it was not made yet."""
    if made is None:
        return TierDecision(name=name)
    verdicts = {part: Verdict.model_validate(made[part]) for part in ("verdict", "cost") if made.get(part)}
    return TierDecision(name=name, wer=made.get("wer"), objections=tuple(made["objections"]), **verdicts)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Everything that the page shows.

    Attributes:
        better: Clips that gained, the most first.
        worse: Clips that lost, the most first.
        n_same: Clips with as many errors as before.
        facts: What else the reports hold, by name: of production, of the candidate.
        tiers: The forms beside the default one, whose numbers everything else here is of.
        wording: What was counted, in words.
    """

    run_id: str
    state: str
    verdict: Verdict
    approvals: tuple[str, ...]
    production: str
    candidate_sha256: str
    slices: tuple[SliceChange, ...]
    better: tuple[ClipChange, ...]
    worse: tuple[ClipChange, ...]
    n_same: int
    facts: tuple[tuple[str, str, str], ...]
    is_complete: bool
    tiers: tuple[TierDecision, ...] = ()
    wording: Wording = SPEECH_WORDS

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        tiers = [
            {
                "name": tier.name,
                "outcome": tier.outcome,
                "wer": tier.wer,
                "verdict": None if tier.verdict is None else tier.verdict.model_dump(mode="json"),
                "cost": None if tier.cost is None else tier.cost.model_dump(mode="json"),
                "objections": list(tier.objections),
            }
            for tier in self.tiers
        ]
        return {**asdict(self), "verdict": self.verdict.model_dump(mode="json"), "tiers": tiers}


def words_of(reference: str, hypothesis: str) -> tuple[Word, ...]:
    """A transcript word by word, as it is scored: what is right, wrong, added, and what is missing."""
    edits = align(normalize_text(reference).split(), normalize_text(hypothesis).split())
    return tuple(Word(_KINDS[edit.kind], edit.hypothesis or edit.reference or "") for edit in edits)


def compare_clips(
    production: EvaluationReport, candidate: EvaluationReport, references: Mapping[str, str]
) -> tuple[tuple[ClipChange, ...], tuple[ClipChange, ...], int]:
    """Clips that gained and clips that lost, the most first, and how many did neither.

    Args:
        production: Its report.
        candidate: Its report on the same clips.
        references: What is said in a clip; of a clip that is not in it no word is shown.
    """
    changed = []
    pairs = _pairs(production, candidate)
    for before, after in pairs:
        gained = before.word_errors - after.word_errors
        if gained:
            reference = references.get(before.clip_id)
            shown: dict[str, Any] = {}
            if reference is not None:
                shown = {
                    "reference": reference,
                    "before": words_of(reference, before.hypothesis),
                    "after": words_of(reference, after.hypothesis),
                }
            changed.append(
                ClipChange(
                    clip_id=before.clip_id, slice=before.slice, gained=gained, n_words=before.n_words, **shown
                )
            )  # fmt: skip
    changed.sort(key=lambda clip: (-abs(clip.gained), clip.clip_id))
    better, worse = (tuple(clip for clip in changed if (clip.gained > 0) == is_up) for is_up in (True, False))
    return better, worse, len(pairs) - len(changed)


def compare_slices(production: EvaluationReport, candidate: EvaluationReport) -> tuple[SliceChange, ...]:
    """All clips, then every slice by name, if there is more than one."""
    spoken = [pair for pair in _pairs(production, candidate) if pair[0].n_words]
    names = sorted({before.slice for before, _ in spoken})
    groups = [("everybody", spoken)]
    if len(names) > 1:
        groups += [(name, [pair for pair in spoken if pair[0].slice == name]) for name in names]
    return tuple(_slice(name, pairs) for name, pairs in groups if pairs)


def compare_facts(
    production: EvaluationReport, candidate: EvaluationReport, wording: Wording = SPEECH_WORDS
) -> tuple[tuple[str, str, str], ...]:
    """What was tried and measured beside error rates: a name, production's figure, the candidate's."""
    if production.classifier is not None or candidate.classifier is not None:
        return _facts_of_classifiers(production, candidate, wording)
    rows = [_fact("character error rate", production, candidate, lambda report: f"{100 * report.cer.value:.1f} %")]
    if production.probes and candidate.probes:
        name = f"words on {len(candidate.probes)} sounds without speech"
        rows.append(_fact(name, production, candidate, lambda report: str(_n_wordy(report))))
    before, after = production.footprint, candidate.footprint
    if before is not None and after is not None:
        rows.append(("size", f"{before.size_bytes / 1e6:.1f} MB", f"{after.size_bytes / 1e6:.1f} MB"))
        costs = [f"{one.operations / 1e9:.2f} billion" for one in (before, after)]
        rows.append(("multiplications per second of sound", costs[0], costs[1]))
    if (found := candidate.recall) is not None:
        told = [f"{n} of {found.n_texts}" for n in (found.n_told_by_production, found.n_told)]
        rows.append(("lessons told without a voice", told[0], told[1]))
        rows += _facts_of_recordings(found)
    rows.append(_fact("computed in", production, candidate, lambda report: report.numerics))
    return tuple(rows)


def _facts_of_recordings(found: Recall) -> Iterator[tuple[str, str, str]]:
    if (covered := found.masking) is not None:
        told = [f"{n} of {covered.n_lessons}" for n in (covered.n_guessed_by_production, covered.n_guessed)]
        yield "words under noise guessed in lessons", told[0], told[1]
        others = [
            f"{n} of {covered.n_others}"
            for n in (covered.n_guessed_of_others_by_production, covered.n_guessed_of_others)
        ]
        yield "words under noise guessed in other recordings", others[0], others[1]
    if (known := found.membership) is not None:
        area = f"{known.auc:.2f} ({known.auc_low:.2f} to {known.auc_high:.2f})"
        yield "lessons told from other recordings by their loss (area)", "-", area


def _facts_of_classifiers(
    production: EvaluationReport, candidate: EvaluationReport, wording: Wording
) -> tuple[tuple[str, str, str], ...]:
    rows = [
        _fact("labels", production, candidate, lambda report: _told(report, lambda one: str(len(one.labels)))),
        _fact(wording.outside, production, candidate, lambda report: _told(report, _refused)),
        _fact("threshold", production, candidate, lambda report: _told(report, lambda one: f"{one.threshold:.3f}")),
        _fact("computed in", production, candidate, lambda report: report.numerics),
    ]
    before, after = production.footprint, candidate.footprint
    if before is not None and after is not None:
        rows.append(("size", f"{before.size_bytes / 1e6:.1f} MB", f"{after.size_bytes / 1e6:.1f} MB"))
        costs = [f"{one.operations / 1e6:.1f} million" for one in (before, after)]
        rows.append(("multiplications for a text", costs[0], costs[1]))
    return tuple(rows)


def _told(report: EvaluationReport, what: Callable[[ClassifierEvidence], str]) -> str:
    return "-" if report.classifier is None else what(report.classifier)


def _refused(found: ClassifierEvidence) -> str:
    outside = [answer for answer in found.answers if answer.wanted is None]
    return f"{sum(answer.answered is None for answer in outside)} of {len(outside)}"


def _fact(
    name: str, production: EvaluationReport, candidate: EvaluationReport, told: Callable[[EvaluationReport], str]
) -> tuple[str, str, str]:
    return name, told(production), told(candidate)


def _n_wordy(report: EvaluationReport) -> int:
    return sum(any(map(str.isalnum, probe.hypothesis)) for probe in report.probes)


def _slice(name: str, pairs: list[tuple[UtteranceScore, UtteranceScore]]) -> SliceChange:
    words = [before.n_words for before, _ in pairs]
    speakers = [before.speaker for before, _ in pairs]
    rates = [sum(pair[side].word_errors for pair in pairs) / sum(words) for side in (0, 1)]
    gain = ratio_interval(
        [before.word_errors - after.word_errors for before, after in pairs],
        words,
        speakers,
        n_resamples=_N_RESAMPLES,
        are_speakers_fixed=len(set(speakers)) < _RESAMPLING.few_speakers,
    )
    return SliceChange(name=name, n_clips=len(pairs), before=rates[0], after=rates[1], gain=gain)


def _pairs(production: EvaluationReport, candidate: EvaluationReport) -> list[tuple[UtteranceScore, UtteranceScore]]:
    after = {utterance.clip_id: utterance for utterance in candidate.utterances}
    return [(before, after[before.clip_id]) for before in production.utterances if before.clip_id in after]
