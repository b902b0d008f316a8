"""Weeks of quality reports as the server keeps them: answers drawn as devices draw them, from shares that are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
from sqlalchemy import Engine, insert

from projectone.contracts.quality import TRUTH_SHARE, week_of, weeks_before
from projectone.contracts.questions import HISTOGRAMS_OF, N_BINS, Histogram
from projectone.server.database import writing
from projectone.server.monitoring.quality import QUALITY_CELLS

Shares = Mapping[Histogram, Sequence[float]]
USUAL: Shares = {name: (0.05, 0.1, 0.3, 0.3, 0.15, 0.05, 0.03, 0.02) for name in HISTOGRAMS_OF["speech"]}
USUAL_INTENTS: Shares = {name: USUAL["duration"] for name in HISTOGRAMS_OF["intents"]}
USUAL_SAFETY: Shares = {name: USUAL["duration"] for name in HISTOGRAMS_OF["safety"]}


def moved(*names: Histogram, usual: Shares = USUAL) -> Shares:
    """As usual, but that in these histograms six of ten went into the first class."""
    shares = {name: np.array(usual[name]) for name in usual}
    for name in names:
        shares[name] = 0.4 * shares[name] + 0.6 * np.eye(N_BINS)[0]
    return {name: tuple(values) for name, values in shares.items()}


def answers(shares: Shares, n_devices: int, source: np.random.Generator) -> dict[Histogram, tuple[int, ...]]:
    """What so many devices say in one week."""
    asked = source.multinomial(n_devices, np.full(len(shares), 1 / len(shares)))
    drawn = {
        name: source.multinomial(n, TRUTH_SHARE * np.array(shares[name]) + (1 - TRUTH_SHARE) / N_BINS)
        for name, n in zip(shares, asked, strict=True)
    }
    return {name: tuple(int(n) for n in counts) for name, counts in drawn.items()}


def fill(
    engine: Engine,
    weeks: Sequence[Shares],
    now: datetime,
    *,
    n_devices: int = 700,
    version: str = "1.2.0",
    line: str = "stable",
) -> None:
    """Keep these weeks, the last of which was closed just now."""
    source = np.random.default_rng(8)
    rows: list[dict[str, object]] = []
    for place, shares in enumerate(weeks):
        week = weeks_before(week_of(now), 1 + len(weeks) - place)
        place_of: dict[str, object] = {"channel": line, "model_version": version, "week": week, "tier": "float16"}
        for name, counts in answers(shares, n_devices, source).items():
            rows += [
                place_of | {"app_version": "0.1.0", "histogram": name, "bin": bin_, "n": n}
                for bin_, n in enumerate(counts)
                if n
            ]
    with writing(engine) as connection:
        connection.execute(insert(QUALITY_CELLS), rows)
