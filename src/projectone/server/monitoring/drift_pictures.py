"""A histogram before and now, as a picture (SVG) and as a line of text for messages."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Final

from projectone.contracts.quality import estimated_shares
from projectone.contracts.questions import CLASS_NAMES, TITLES, UNITS, class_names
from projectone.server.monitoring.drift import Comparison

_BAR, _GAP, _HEIGHT, _LEFT, _TOP = 26, 24, 150, 34, 44
_LETTERS: Final = 12  # of a line below a bar
_BEFORE, _NOW, _INK, _QUIET = "#8a9a94", "#b3541e", "#26302c", "#69756f"
_BLOCKS: Final = "▁▂▃▄▅▆▇█"


def bars(shares: Sequence[float]) -> str:
    """Shares as eight signs, from the smallest block to the largest."""
    top = max(max(shares), 1e-9)
    return "".join(_BLOCKS[min(7, round(7 * share / top))] for share in shares)


def histogram_svg(found: Comparison) -> str:
    """The estimated shares of every class, in the reference and in the window, side by side; a whole SVG file."""
    before, after = estimated_shares(found.before), estimated_shares(found.after)
    names, title = class_names(found.histogram), TITLES[found.histogram]
    top = max(*before, *after, 0.1)
    step = 2 * _BAR + _GAP
    width, floor = _LEFT + len(names) * step + 10, _TOP + _HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {floor + 52}" width="{width}" '
        f'height="{floor + 52}" role="img" font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{title}: before and in week {found.week}</title>",
        f'<rect width="{width}" height="{floor + 52}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="18" font-size="14" font-weight="600" fill="{_INK}">'
        f"{_heading(title, UNITS[found.histogram])}</text>",
        _legend(found),
    ]
    for mark in (0.0, top / 2, top):
        y = floor - _HEIGHT * mark / top
        parts.append(f'<line x1="{_LEFT}" x2="{width - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e2e6e3"/>')
        parts.append(f'<text x="{_LEFT - 4}" y="{y + 4:.1f}" text-anchor="end" fill="{_QUIET}">{mark:.0%}</text>')
    for place, name in enumerate(names):
        x = _LEFT + place * step + _GAP / 2
        for share, offset, colour in ((before[place], 0, _BEFORE), (after[place], _BAR, _NOW)):
            height = _HEIGHT * share / top
            parts.append(
                f'<rect x="{x + offset:.1f}" y="{floor - height:.1f}" width="{_BAR - 2}" height="{height:.1f}" '
                f'fill="{colour}"/>'
            )
        lines = wrap(name, _LETTERS) if found.histogram in CLASS_NAMES else _in_lines(name)
        for number, line in enumerate(lines):
            parts.append(
                f'<text x="{x + _BAR - 1:.1f}" y="{floor + 16 + 14 * number}" text-anchor="middle" fill="{_QUIET}">'
                f"{line}</text>"
            )
    return "\n".join([*parts, "</svg>"])


def _heading(title: str, unit: str) -> str:
    return f"{title}, {unit}" if unit else title


def _in_lines(numbers: str) -> list[str]:
    return numbers.replace(" to ", "|to ").replace(" or ", "|or ").split("|")


def _legend(found: Comparison) -> str:
    window = found.week if found.n_weeks == 1 else f"{found.n_weeks} weeks to {found.week}"
    return (
        f'<rect x="{_LEFT}" y="26" width="10" height="10" fill="{_BEFORE}"/>'
        f'<text x="{_LEFT + 15}" y="35" fill="{_QUIET}">before ({sum(found.before)} answers)</text>'
        f'<rect x="{_LEFT + 170}" y="26" width="10" height="10" fill="{_NOW}"/>'
        f'<text x="{_LEFT + 185}" y="35" fill="{_QUIET}">{window} ({sum(found.after)} answers)</text>'
    )
