"""A snapshot's figures as one SVG of bars: written by hand, so that the server needs no plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from projectone.server.corpus.statistics import MIN_PEOPLE, Group, Statistics

_PANEL, _GAP, _ROW, _TOP = 340, 20, 18, 44
_NAMES, _VALUES = 120, 56
_MAX_BARS = 14
_BAR = "#2563eb"

Bar = tuple[str, float, str]


def statistics_svg(statistics: Statistics) -> str:
    """Hours by accent, samples by length and words, side by side; of sentences labels and languages."""
    hours = [(g.name, g.audio_s, f"{g.audio_s / 3600:.2f} h") for g in statistics.accents]
    lengths = [(g.name, float(g.n_samples), f"{g.n_samples:,}") for g in statistics.lengths]
    words = [(word, float(n), f"{n:,}") for word, n in statistics.terms]
    panels = [("Hours by accent", hours), ("Samples by length", lengths), ("Words", words)]
    totals = f"{statistics.n_people:,} people, {statistics.n_samples:,} samples"
    if statistics.family == "intents":
        panels = [("Sentences by label", _counts(statistics.labels)), ("By language", _counts(statistics.languages))]
    else:
        totals += f", {statistics.audio_s / 3600:.2f} hours"
    n_bars = max(1, *(min(len(bars), _MAX_BARS) for _, bars in panels))
    width, height = len(panels) * (_PANEL + _GAP), _TOP + n_bars * _ROW + 30
    drawn = "".join(
        f'<g transform="translate({index * (_PANEL + _GAP)},0)">{_panel(title, bars)}</g>'
        for index, (title, bars) in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="11" fill="#444"><title>A dataset in figures</title>'
        f'<rect width="100%" height="100%" fill="#fff"/><text x="10" y="16">{totals}</text>{drawn}'
        f'<text x="10" y="{height - 8}">No bar is about fewer than {MIN_PEOPLE} people.</text></svg>\n'
    )


def _counts(groups: Sequence[Group]) -> list[Bar]:
    return [(group.name, float(group.n_samples), f"{group.n_samples:,}") for group in groups]


def _panel(title: str, bars: Sequence[Bar]) -> str:
    head = f'<text x="10" y="{_TOP - 10}" font-weight="bold">{title}</text>'
    if not bars:
        return f'{head}<text x="10" y="{_TOP + 12}">not told: too few people</text>'
    largest = max(value for _, value, _ in bars) or 1.0
    room = _PANEL - _NAMES - _VALUES
    rows = []
    for index, (name, value, shown) in enumerate(bars[:_MAX_BARS]):
        y = _TOP + index * _ROW
        length = round(room * value / largest, 1)
        short = name if len(name) <= 18 else f"{name[:17]}…"
        rows.append(
            f'<text x="{_NAMES - 6}" y="{y + 12}" text-anchor="end">{escape(short)}</text>'
            f'<rect x="{_NAMES}" y="{y + 2}" width="{length}" height="{_ROW - 5}" fill="{_BAR}"/>'
            f'<text x="{_NAMES + length + 5}" y="{y + 12}">{shown}</text>'
        )
    return head + "".join(rows)
