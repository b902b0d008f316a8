"""Intents on texts that nobody learned from: in scope, out of scope, as a recogniser writes them, twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from projectone.assist.calibration import calibration_error
from projectone.assist.classifiers import EncoderClassifier
from projectone.assist.holdout.findings import FEWEST, Finding, at_least, failed, met, not_judged, repeats
from projectone.assist.noise import RecognitionNoise
from projectone.assist.protocols import Judgement

Row = tuple[str, str | None]


@dataclass(frozen=True, kw_only=True)
class IntentRequirements:
    """What is asked of a classifier of intents, whatever the one before it did.

    Attributes:
        accuracy: Share of texts with an intent whose nearest label is right.
        answered: Share of them that are answered, and rightly.
        out_of_scope: Share of texts without an intent that are called so.
        noise_rate: Word error rate of the texts as a recogniser writes them.
        noised_accuracy: As `accuracy`, of those.
        noised_out_of_scope: As `out_of_scope`, of those.
        calibration_error: The largest.
        claimed: By how much the accuracy that its file claims may lie above what is seen.
    """

    accuracy: float = 0.80
    answered: float = 0.65
    out_of_scope: float = 0.60
    noise_rate: float = 0.15
    noised_accuracy: float = 0.70
    noised_out_of_scope: float = 0.55
    calibration_error: float = 0.10
    claimed: float = 0.10


def judge_intents(
    classifier: EncoderClassifier,
    rows: Sequence[Row],
    noise: RecognitionNoise,
    requirements: IntentRequirements | None = None,
) -> tuple[Finding, ...]:
    """Every question of intents, in the order in which a failure is the reason for those after it.

    Args:
        classifier: To be judged.
        rows: Texts and labels that it did not learn from; None is none of the labels.
        noise: Writes texts down as a recogniser would.
        requirements: What is asked.
    """
    asked = requirements or IntentRequirements()
    texts, wanted = [text for text, _ in rows], [label for _, label in rows]
    heard = [noise.distort(text, rate=asked.noise_rate, seed="hold-out") for text in texts]
    clean, noised = classifier.classify(texts), classifier.classify(heard)
    pairs = list(zip(clean, wanted, strict=True))
    noised_pairs = list(zip(noised, wanted, strict=True))
    accuracy = at_least("in-scope", _right(pairs), asked.accuracy, "texts with an intent understood")
    at = f"with {100 * asked.noise_rate:.0f} of 100 words wrong"
    return (
        _labels(classifier, wanted),
        _with_confusions(accuracy, pairs),
        _answered(pairs, asked.answered),
        _out_of_scope(pairs, asked.out_of_scope),
        _calibration(pairs, asked.calibration_error),
        at_least("noised-in-scope", _right(noised_pairs), asked.noised_accuracy, f"texts understood {at}"),
        at_least(
            "noised-out-of-scope",
            [made.label is None for made, label in noised_pairs if label is None],
            asked.noised_out_of_scope,
            f"texts without an intent called so {at}",
        ),
        _claims(classifier, accuracy, asked.claimed),
        _repeats(classifier, texts, clean),
    )


Pairs = Sequence[tuple[Judgement, str | None]]


def _right(pairs: Pairs) -> list[bool]:
    return [made.nearest == label for made, label in pairs if label is not None]


def _labels(classifier: EncoderClassifier, wanted: Sequence[str | None]) -> Finding:
    labels = {label for label in wanted if label is not None}
    if lost := sorted(labels - set(classifier.head.labels)):
        named = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
        return failed("labels", len(labels), f"{len(lost)} of {len(labels)} labels are lost: {named}")
    n_texts = sum(label is not None for label in wanted)
    if n_texts < FEWEST:
        return not_judged("labels", len(labels), f"{n_texts} texts with an intent: it takes {FEWEST}")
    return met("labels", len(labels), f"all {len(labels)} labels are there")


def _with_confusions(finding: Finding, pairs: Pairs) -> Finding:
    if finding.outcome != "failed":
        return finding
    called: dict[str, Counter[str]] = defaultdict(Counter)
    for made, label in pairs:
        if label is not None:
            called[label][made.nearest] += 1
    moved = [label for label, names in called.items() if names.most_common(1)[0][0] != label]
    if not moved:
        return finding
    label = min(moved)
    name, n = called[label].most_common(1)[0]
    told = f"{len(moved)} of {len(called)} labels are called another name, such as {label!r}: {name!r} ({n} times)"
    return Finding(**{**vars(finding), "reason": f"{finding.reason}; {told}"})


def _answered(pairs: Pairs, bound: float) -> Finding:
    inside = [(made, label) for made, label in pairs if label is not None]
    if len(inside) and all(made.label is None for made, _ in inside):
        return failed("answered", len(inside), "every text is refused: the threshold lies above all of them")
    return at_least("answered", [made.label == label for made, label in inside], bound, "texts answered rightly")


def _out_of_scope(pairs: Pairs, bound: float) -> Finding:
    outside = [made for made, label in pairs if label is None]
    if outside and all(made.label is not None for made, _ in pairs):
        return failed("out-of-scope", len(outside), "no text at all is refused: the threshold lies below all of them")
    hits = [made.label is None for made in outside]
    return at_least("out-of-scope", hits, bound, "texts without an intent called so")


def _calibration(pairs: Pairs, bound: float) -> Finding:
    inside = [(made, label) for made, label in pairs if label is not None]
    if len(inside) < 100:
        return not_judged("calibration", len(inside), f"{len(inside)} texts with an intent: it takes 100")
    said = np.array([made.probability for made, _ in inside])
    error = calibration_error(said, np.array([made.nearest == label for made, label in inside]))
    # What a truthful classifier shows on as many texts, in 99 of 100 draws.
    draws = np.random.default_rng(0).random((200, len(said)))
    chance = float(np.quantile([calibration_error(said, draw < said) for draw in draws], 0.99))
    told = f"what it says and what is right lie {100 * error:.1f} % apart (a truthful one: up to {100 * chance:.1f} %)"
    outcome = failed if error > max(bound, chance) else met
    return outcome("calibration", len(inside), told)


def _claims(classifier: EncoderClassifier, accuracy: Finding, margin: float) -> Finding:
    claimed = classifier.head.measured.get("accuracy")
    if not isinstance(claimed, float) or accuracy.high is None:
        return not_judged("claims", accuracy.n, "its file claims no accuracy, or there are too few texts")
    told = f"its file claims {100 * claimed:.1f} %, seen are {100 * (accuracy.value or 0):.1f} %"
    return (failed if accuracy.high < claimed - margin else met)("claims", accuracy.n, told)


def _repeats(classifier: EncoderClassifier, texts: Sequence[str], before: Sequence[Judgement]) -> Finding:
    """Again, backwards, so that every text has other neighbours."""
    again = classifier.classify(texts[::-1])[::-1]
    changed = sum(one.label != other.label for one, other in zip(before, again, strict=True))
    return repeats(len(texts), changed, "texts got another label")
