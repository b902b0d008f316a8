"""Two reports to a verdict: better beyond chance, clearly worse for nobody, silent on silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projectone.contracts.scores import Decision, EvaluationReport, UtteranceScore, Verdict
from projectone.errors import EvaluationError
from projectone.server.evaluation.bootstrap import N_RESAMPLES, Interval, ratio_interval

Pair = tuple[UtteranceScore, UtteranceScore]


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """What a candidate must show.

    Attributes:
        n_resamples: Draws of the bootstrap.
        min_slice_clips: A slice with fewer clips is not judged on its own.
        slice_margin: A slice may lose this much (a fraction of words) within its 95 % interval, as long as the
            interval does not lie wholly on the losing side.
        max_empty_share: Share of spoken clips left without any word, unless production leaves as many.
        max_wordy_share: Share of clips with runaway text, unless production has as many.
        max_silence_share: Share of speechless clips with any word, unless production has as many.
        few_speakers: With fewer speakers than this the verdict speaks of them alone: they are not drawn, only their
            clips are, and the reasons say so.
        seed: Of the draws.
    """

    n_resamples: int = N_RESAMPLES
    min_slice_clips: int = 50
    slice_margin: float = 0.1
    max_empty_share: float = 0.02
    max_wordy_share: float = 0.02
    max_silence_share: float = 0.01
    few_speakers: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("slice_margin", "max_empty_share", "max_wordy_share", "max_silence_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected 0 to 1, got {getattr(self, name)!r}")
        for name in ("n_resamples", "min_slice_clips"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)!r}")


def judge(production: EvaluationReport, candidate: EvaluationReport, config: GateConfig | None = None) -> Verdict:
    """Whether the candidate may replace the model in production, and why.

    `promote`: better overall with a 95 % interval above zero, and no objection. `reject`: an objection, or worse
    overall beyond chance. `hold`: nothing is shown either way, or a slice may be losing.

    Raises:
        EvaluationError: if the reports are not about the same clips.
    """
    config = config or GateConfig()
    pairs = _paired(production, candidate)
    spoken = [pair for pair in pairs if pair[0].n_words]
    gain = paired_gain(spoken, config)
    n_speakers = len({before.speaker for before, _ in spoken})
    objections = [*_catastrophes(pairs, config), *_worse_slices(spoken, config)]
    doubts = _doubtful_slices(spoken, config)
    overall = (
        f"word error rate {_percent(production.wer.value)} -> {_percent(candidate.wer.value)}: "
        f"{_describe(gain)} over {len(spoken)} clips of {n_speakers} speakers"
        + (", and of no others: they are too few to stand for more" if n_speakers < config.few_speakers else "")
    )
    decision: Decision
    if objections or gain.high < 0:
        decision = "reject"
        reasons = [*objections, *([] if gain.high >= 0 else ["worse overall, beyond chance"]), overall]
    elif gain.low <= 0:
        decision = "hold"
        reasons = ["the difference may be chance: the interval of the gain holds zero", overall, *doubts]
    elif doubts:
        decision, reasons = "hold", [*doubts, overall]
    else:
        decision, reasons = "promote", ["better overall, beyond chance", overall]
    return Verdict(decision=decision, reasons=tuple(reasons), gain=gain.value, gain_low=gain.low, gain_high=gain.high)


def paired_gain(pairs: Sequence[Pair], config: GateConfig) -> Interval:
    """Production's word error rate minus the candidate's on the same clips, resampled together."""
    n_speakers = len({before.speaker for before, _ in pairs})
    return ratio_interval(
        [before.word_errors - after.word_errors for before, after in pairs],
        [before.n_words for before, _ in pairs],
        [before.speaker for before, _ in pairs],
        n_resamples=config.n_resamples,
        are_speakers_fixed=n_speakers < config.few_speakers,
        seed=config.seed,
    )


def _paired(production: EvaluationReport, candidate: EvaluationReport) -> list[Pair]:
    if production.dataset_sha256 != candidate.dataset_sha256:
        raise EvaluationError(
            f"the reports are about different sets: {production.dataset_sha256[:12]} and "
            f"{candidate.dataset_sha256[:12]}; score both models on the same one"
        )
    before = {utterance.clip_id: utterance for utterance in production.utterances}
    after = {utterance.clip_id: utterance for utterance in candidate.utterances}
    if before.keys() != after.keys() or not before or len(before) != len(production.utterances):
        raise EvaluationError("the reports do not list the same clips, each once; score both models again")
    return [(utterance, after[clip_id]) for clip_id, utterance in before.items()]


def _slices(spoken: Sequence[Pair], config: GateConfig) -> list[tuple[str, Interval, int]]:
    """Name, paired gain and size of every slice with enough clips, if there is more than one slice at all."""
    names = sorted({before.slice for before, _ in spoken})
    members = {name: [pair for pair in spoken if pair[0].slice == name] for name in names}
    if len(names) < 2:
        return []
    big = {name: own for name, own in members.items() if len(own) >= config.min_slice_clips}
    return [(name, paired_gain(own, config), len(own)) for name, own in big.items()]


def _worse_slices(spoken: Sequence[Pair], config: GateConfig) -> list[str]:
    return [
        f"slice {name!r} is worse, beyond chance: {_describe(gain)} over {n_clips} clips"
        for name, gain, n_clips in _slices(spoken, config)
        if gain.high < 0
    ]


def _doubtful_slices(spoken: Sequence[Pair], config: GateConfig) -> list[str]:
    return [
        f"slice {name!r} may be losing more than {_percent(config.slice_margin)}: "
        f"{_describe(gain)} over {n_clips} clips"
        for name, gain, n_clips in _slices(spoken, config)
        if gain.low < -config.slice_margin and gain.value < 0 <= gain.high
    ]


def _catastrophes(pairs: Sequence[Pair], config: GateConfig) -> list[str]:
    """Failures that an average hides."""
    spoken = [pair for pair in pairs if pair[0].n_words]
    silent = [pair for pair in pairs if not pair[0].n_words]
    checks = (
        ("of the spoken clips come out empty", spoken, _is_empty, config.max_empty_share),
        ("of the spoken clips come out with runaway text", spoken, _is_wordy, config.max_wordy_share),
        ("of the clips in which nobody speaks come out with words", silent, _has_words, config.max_silence_share),
    )
    found: list[str] = []
    for what, group, is_bad, limit in checks:
        if not group:
            continue
        before, after = (sum(is_bad(pair[side]) for pair in group) for side in (0, 1))
        if after / len(group) > limit and after > before:
            found.append(f"{after} of {len(group)} {what}; in production {before}, allowed {_percent(limit)}")
    return found


def _has_words(utterance: UtteranceScore) -> bool:
    return any(character.isalnum() for character in utterance.hypothesis)


def _is_empty(utterance: UtteranceScore) -> bool:
    return not _has_words(utterance)


def _is_wordy(utterance: UtteranceScore) -> bool:
    """More than twice the true length, and at least five words too many: a decoder that runs in circles."""
    surplus = len(utterance.hypothesis.split()) - utterance.n_words
    return surplus >= 5 and surplus > utterance.n_words


def _describe(gain: Interval) -> str:
    return f"gain {100 * gain.value:+.1f} points (95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
