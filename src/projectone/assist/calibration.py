"""How far a classifier's numbers can be believed: temperature, threshold, and the error that is left. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray[Any, Any]

_STEPS = 60
_N_BINS = 15
KEPT_WITHOUT_OUTSIDERS = 0.95


@dataclass(frozen=True)
class Threshold:
    """Below which fit a text is none of the labels, and what that choice gave where it was made.

    Attributes:
        value: The lowest fit that counts.
        in_scope_accuracy: Share of texts with a label that were answered, and rightly.
        out_of_scope_recall: Share of texts without one that were called so; None where there were none to measure on.
        n_in_scope: Texts with a label.
        n_out_of_scope: Texts without.
    """

    value: float
    in_scope_accuracy: float
    out_of_scope_recall: float | None
    n_in_scope: int
    n_out_of_scope: int


@dataclass(frozen=True)
class Alarm:
    """From which probability of one label an alarm is raised, and what that choice gave where it was made.

    Attributes:
        label: That is warned of.
        threshold: The lowest probability of it that raises the alarm.
        recall: Share of texts with the label that raised it.
        false_alarm_rate: Share of the others that raised it.
        n_with: Texts with the label.
        n_without: The others.
    """

    label: str
    threshold: float
    recall: float
    false_alarm_rate: float
    n_with: int
    n_without: int


def probabilities(scores: Floats, scale: float) -> Floats:
    """Softmax of scaled scores, (texts, labels)."""
    shifted = (scores - scores.max(axis=1, keepdims=True)).astype(np.float64) * scale
    shares = np.exp(shifted)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def choose_scale(scores: Floats, wanted: Floats, *, lowest: float = 1.0, highest: float = 400.0) -> float:
    """The number to multiply scores with (one over a temperature) so that their softmax tells the truth.

    By golden section over its logarithm: the likelihood has one peak there. A right label counts for (n + 1) / (n + 2)
    and the nearest other for the rest (after Platt 1999): n texts that are all right do not prove that none is wrong.

    Args:
        scores: (texts, labels), of texts that were not learned from.
        wanted: Index of the right label, (texts,).
        lowest: Where the search begins.
        highest: Where it ends.
    """
    ratio = (np.sqrt(5) - 1) / 2
    low, high = np.log(lowest), np.log(highest)
    texts, doubt = np.arange(len(wanted)), 1 / (len(wanted) + 2)
    others = np.array(scores, np.float64)
    others[texts, wanted] = -np.inf
    nearest = others.argmax(axis=1)

    def nats(place: float) -> float:
        logs = np.log(np.maximum(probabilities(scores, float(np.exp(place))), 1e-300))
        return float(-((1 - doubt) * logs[texts, wanted] + doubt * logs[texts, nearest]).mean())

    for _ in range(_STEPS):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if nats(left) < nats(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def calibration_error(confidences: Floats, is_right: Floats) -> float:
    """Expected calibration error: how far confidence and share of right answers lie apart, over 15 equal-count bins."""
    if not len(confidences):
        return 0.0
    order = np.argsort(confidences, kind="stable")
    groups = [group for group in np.array_split(order, _N_BINS) if len(group)]
    gaps = [abs(confidences[group].mean() - is_right[group].mean()) * len(group) for group in groups]
    return float(sum(gaps) / len(confidences))


def choose_alarm(
    label: str, shares: Floats, has_label: Sequence[bool] | Floats, *, most_false_alarms: float = 0.05
) -> Alarm:
    """The lowest threshold that keeps false alarms within a stated rate, on texts that were not learned from.

    Args:
        label: That is warned of.
        shares: Its probability for each text, (texts,).
        has_label: Whether the text has it.
        most_false_alarms: Share of the texts without the label that may raise the alarm.

    Raises:
        ValueError: if there are no texts of one of the two kinds, or the rate is not within 0 and 1.
    """
    if not 0 <= most_false_alarms < 1:
        raise ValueError(f"most_false_alarms: expected 0 <= rate < 1, got {most_false_alarms!r}")
    wanted = np.asarray(has_label, bool)
    harmless = np.sort(shares[~wanted])[::-1]
    if not len(harmless) or not wanted.any():
        raise ValueError(f"expected texts with the label {label!r} and texts without it to choose an alarm on")
    # Just above the first text that may no longer raise it.
    last = float(harmless[int(most_false_alarms * len(harmless) + 1e-9)])
    threshold = float(np.nextafter(last, 2.0))
    return Alarm(
        label=label,
        threshold=threshold,
        recall=float((shares[wanted] >= threshold).mean()),
        false_alarm_rate=float((harmless >= threshold).mean()),
        n_with=int(wanted.sum()),
        n_without=len(harmless),
    )


def interval(n_hits: int, n: int, *, z: float = 1.96) -> tuple[float, float]:
    """Between which shares the true one lies, seen so many hits of so many: Wilson's 95 % interval."""
    if not n:
        return 0.0, 1.0
    share = n_hits / n
    middle, spread = share + z * z / (2 * n), z * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    whole = 1 + z * z / n
    return max(0.0, (middle - spread) / whole), min(1.0, (middle + spread) / whole)


def choose_threshold(
    fits: Floats, is_right: Sequence[bool] | Floats, is_in_scope: Sequence[bool] | Floats
) -> Threshold:
    """The fit below which a text is none of the labels.

    Where there are texts without a label: that of the highest mean of in-scope accuracy and out-of-scope recall.
    Where there are none: that which keeps 95 of 100 right answers.

    Args:
        fits: (texts,).
        is_right: Whether the best label is the wanted one; ignored out of scope.
        is_in_scope: Whether the text has a label.

    Raises:
        ValueError: if no text has a label.
    """
    inside = np.asarray(is_in_scope, bool)
    right = np.asarray(is_right, bool) & inside
    if not inside.any():
        raise ValueError("expected texts with a label to choose a threshold on, got none")
    n_outside = int((~inside).sum())
    if n_outside:
        # Between two neighbours, so that neither lies on it; one below all, which refuses nothing; and one above all,
        # which refuses everything and is right where what is nearest is always wrong.
        ordered = np.unique(fits)
        places = np.concatenate([[ordered[0] - 1e-3], (ordered[1:] + ordered[:-1]) / 2, [ordered[-1] + 1e-3]])
        right_fits, outside_fits = np.sort(fits[right]), np.sort(fits[~inside])
        answered = (len(right_fits) - np.searchsorted(right_fits, places)) / inside.sum()
        refused = np.searchsorted(outside_fits, places) / n_outside
        value = float(places[np.argmax(answered + refused)])
    else:
        value = float(np.quantile(fits[right], 1 - KEPT_WITHOUT_OUTSIDERS)) if right.any() else float(fits.min())
    return Threshold(
        value=value,
        in_scope_accuracy=float((right & (fits >= value)).sum() / inside.sum()),
        out_of_scope_recall=float((fits[~inside] < value).mean()) if n_outside else None,
        n_in_scope=int(inside.sum()),
        n_out_of_scope=n_outside,
    )
