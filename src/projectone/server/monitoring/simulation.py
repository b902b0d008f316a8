"""Made-up fleets, thousands at once: how often a test stops a release that does no harm, and how soon one that does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from projectone.server.monitoring.evidence import PRIOR

_Counts = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """How a fleet behaves, and when it is looked at.

    Attributes:
        control_rate: Share of devices that fail without the release.
        treated_rate: Share of those that have it.
        n_looks: How often one looks.
        per_look: New devices with the release at each look.
        controls: New devices without it, for each one with it.
    """

    control_rate: float
    treated_rate: float
    n_looks: int = 100
    per_look: int = 200
    controls: int = 1


def failures(fleet: Fleet, n_runs: int, generator: np.random.Generator) -> tuple[_Counts, _Counts, _Counts, _Counts]:
    """Failures so far and devices so far at each look: of the treated (runs x looks; looks), then of the controls."""
    looks = np.arange(1, fleet.n_looks + 1)
    n_treated, n_control = looks * fleet.per_look, looks * fleet.per_look * fleet.controls
    shape = (n_runs, fleet.n_looks)
    treated = generator.binomial(fleet.per_look, fleet.treated_rate, shape).cumsum(axis=1)
    control = generator.binomial(fleet.per_look * fleet.controls, fleet.control_rate, shape).cumsum(axis=1)
    return treated, n_treated, control, n_control


def log_evidence_paths(treated: _Counts, n_treated: _Counts, control: _Counts, n_control: _Counts) -> _Floats:
    """`evidence.log_harm` of whole arrays at once."""
    largest = int(n_treated.max() + n_control.max()) + int(sum(PRIOR)) + 1
    # ln Gamma of whole numbers, by the table: lgamma[n] = ln (n-1)!
    lgamma = np.concatenate([[0.0, 0.0], np.log(np.arange(1, largest)).cumsum()])
    a, b = (int(part) for part in PRIOR)

    def log_marginal(failed: _Counts, total: _Counts) -> _Floats:
        beta = lgamma[a + failed] + lgamma[b + total - failed] - lgamma[a + b + total]
        return np.asarray(beta - (lgamma[a] + lgamma[b] - lgamma[a + b]))

    evidence = log_marginal(control, n_control) + log_marginal(treated, n_treated)
    evidence -= log_marginal(treated + control, n_treated + n_control)
    is_worse = treated * n_control > control * n_treated
    harm: _Floats = np.where(is_worse, evidence, np.minimum(evidence, 0.0))
    return harm


def z_paths(treated: _Counts, n_treated: _Counts, control: _Counts, n_control: _Counts) -> _Floats:
    """The statistic of the ordinary test of two rates: what not to look at more than once."""
    pooled = (treated + control) / (n_treated + n_control)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / n_treated + 1 / n_control))
    difference = treated / n_treated - control / n_control
    z: _Floats = np.divide(difference, spread, out=np.zeros_like(difference), where=spread > 0)
    return z


def first_stop(paths: _Floats, threshold: float) -> npt.NDArray[np.int64]:
    """The look (from 0) at which each run stops; -1 for runs that never do."""
    is_over = paths >= threshold
    return np.where(is_over.any(axis=1), is_over.argmax(axis=1), -1)
