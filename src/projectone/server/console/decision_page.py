"""The report of a decision as a page: in the console with its recordings, or as one file without them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from projectone.server.evaluation.decision import Decision

SHOWN_CLIPS, MOST_CLIPS = 6, 100  # at a glance, and unfolded
_PAGES = Environment(loader=PackageLoader("projectone.server.console"), autoescape=True, undefined=StrictUndefined)
_ROW, _LEFT, _RIGHT, _WIDTH = 26, 190, 150, 700


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One row of the picture, in its units."""

    name: str
    n_clips: int
    y: float
    low: float
    value: float
    high: float
    told: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Gains of all slices with their intervals around a line at zero."""

    width: int
    height: int
    zero: float
    bars: tuple[Bar, ...]


def picture_of(decision: Decision) -> Picture | None:
    """The slices drawn to one scale; None without any."""
    if not decision.slices:
        return None
    gains = [item.gain for item in decision.slices]
    low, high = min(0.0, *(gain.low for gain in gains)), max(0.0, *(gain.high for gain in gains))
    room = _WIDTH - _LEFT - _RIGHT

    def place(gain: float) -> float:
        return round(_LEFT + room * (gain - low) / max(high - low, 1e-9), 1)

    bars = tuple(
        Bar(
            name=item.name,
            n_clips=item.n_clips,
            y=_ROW * number + _ROW / 2,
            low=place(item.gain.low),
            value=place(item.gain.value),
            high=place(item.gain.high),
            told=f"{100 * item.before:.1f} → {100 * item.after:.1f} %",
            kind="up" if item.gain.low > 0 else "down" if item.gain.high < 0 else "open",
        )
        for number, item in enumerate(decision.slices)
    )
    return Picture(width=_WIDTH, height=_ROW * len(bars), zero=place(0.0), bars=bars)


def render_file(decision: Decision) -> str:
    """The page as one file that needs nothing else; recordings are heard in the console."""
    template = _PAGES.get_template("decision_file.html.j2")
    return template.render(**values_of(decision), nonce="", has_sound=False)


def values_of(decision: Decision) -> dict[str, Any]:
    """What the templates need."""
    return {"decision": decision, "picture": picture_of(decision), "shown": SHOWN_CLIPS, "most": MOST_CLIPS}
