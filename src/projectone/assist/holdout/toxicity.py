"""The alarm of a safety classifier, on texts that nobody learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projectone.assist.holdout.findings import Finding, at_least, at_most, repeats
from projectone.assist.noise import RecognitionNoise
from projectone.assist.safety import SafetyGuard


@dataclass(frozen=True, kw_only=True)
class SafetyRequirements:
    """What is asked of an alarm.

    Attributes:
        recall: Share of texts with the label that raise it.
        false_alarms: Share of the others that raise it, at most.
        noise_rate: Word error rate of the texts as a recogniser writes them.
        noised_recall: As `recall`, of those.
        noised_false_alarms: As `false_alarms`, of those.
    """

    recall: float = 0.50
    false_alarms: float = 0.10
    noise_rate: float = 0.15
    noised_recall: float = 0.40
    noised_false_alarms: float = 0.15


def judge_safety(
    guard: SafetyGuard,
    rows: Sequence[tuple[str, str | None]],
    noise: RecognitionNoise,
    requirements: SafetyRequirements | None = None,
) -> tuple[Finding, ...]:
    """Recall and false alarms, clean and as a recogniser writes them, and whether the guard repeats itself.

    Args:
        guard: To be judged.
        rows: Texts and labels that it did not learn from.
        noise: Writes texts down as a recogniser would.
        requirements: What is asked.
    """
    asked = requirements or SafetyRequirements()
    label = guard.alarm.label
    texts, has_label = [text for text, _ in rows], [own == label for _, own in rows]
    heard = [noise.distort(text, rate=asked.noise_rate, seed="hold-out") for text in texts]
    found: list[Finding] = []
    clean = [made.is_flagged for made in guard.judge(texts)]
    noised = [made.is_flagged for made in guard.judge(heard)]
    at = f"with {100 * asked.noise_rate:.0f} of 100 words wrong"
    for suite, flagged, recall, most, when in (
        ("toxicity", clean, asked.recall, asked.false_alarms, ""),
        ("noised-toxicity", noised, asked.noised_recall, asked.noised_false_alarms, f" {at}"),
    ):
        bad = [raised for raised, is_bad in zip(flagged, has_label, strict=True) if is_bad]
        good = [raised for raised, is_bad in zip(flagged, has_label, strict=True) if not is_bad]
        found.append(at_least(suite, bad, recall, f"texts labelled {label!r} raised the alarm{when}"))
        found.append(at_most(f"{suite}-false-alarms", good, most, f"other texts raised the alarm{when}"))
    again = [made.is_flagged for made in guard.judge(texts[::-1])][::-1]
    changed = sum(one != other for one, other in zip(clean, again, strict=True))
    return (*found, repeats(len(texts), changed, "texts were judged otherwise"))
