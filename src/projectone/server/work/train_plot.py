"""The curves of a training run as one SVG: written by hand, so that the server needs no plotting library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]

_PANEL, _HEIGHT, _GAP = 300, 240, 20
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 10, 34, 36
_OWN, _GENERAL = "#2563eb", "#d97706"
_MAX_POINTS = 600  # a curve drawn in more is only a larger file


@dataclass(frozen=True, kw_only=True)
class Curves:
    """What is drawn; error rates are shares, empty lists are left out.

    Attributes:
        loss: Nats per token after each step.
        dev_wer: Word error rate on the held-back clips after a step; step 0 is the base.
        general_wer: The same on general speech.
        alpha_wer: Word error rate by share of the trained weights.
        alpha_general_wer: The same on general speech.
        chosen_step: Whose weights were taken.
        chosen_alpha: The share that was taken.
    """

    loss: Sequence[Point]
    dev_wer: Sequence[Point]
    general_wer: Sequence[Point]
    alpha_wer: Sequence[Point]
    alpha_general_wer: Sequence[Point]
    chosen_step: float
    chosen_alpha: float


def training_svg(curves: Curves) -> str:
    """Three panels: loss, word error rates by step, word error rates by share of the trained weights."""
    panels = [
        _panel("Loss (nats per token)", "step", [("", _OWN, _thinned(curves.loss))], None),
        _panel(
            "Word error rate (%)",
            "step",
            [("held back", _OWN, _percent(curves.dev_wer)), ("general", _GENERAL, _percent(curves.general_wer))],
            curves.chosen_step,
        ),
        _panel(
            "Word error rate (%)",
            "share of the trained weights",
            [
                ("held back", _OWN, _percent(curves.alpha_wer)),
                ("general", _GENERAL, _percent(curves.alpha_general_wer)),
            ],
            curves.chosen_alpha,
        ),
    ]
    width = len(panels) * (_PANEL + _GAP)
    moved = "".join(f'<g transform="translate({i * (_PANEL + _GAP)},0)">{panel}</g>' for i, panel in enumerate(panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT}" width="{width}" height="{_HEIGHT}" '
        'font-family="sans-serif" font-size="11" fill="#444"><title>Curves of a training run</title>'
        f'<rect width="100%" height="100%" fill="#fff"/>{moved}</svg>\n'
    )


def _panel(title: str, x_name: str, lines: Sequence[tuple[str, str, Sequence[Point]]], chosen: float | None) -> str:
    points = [point for _, _, line in lines for point in line]
    head = f'<text x="{_LEFT}" y="16" font-weight="bold">{escape(title)}</text>'
    if not points:
        return f'{head}<text x="{_LEFT}" y="{_HEIGHT / 2}">not measured in this run</text>'
    xs, ys = _axis([x for x, _ in points]), _axis([y for _, y in points])
    parts = [head, _grid(xs, ys, x_name)]
    if chosen is not None and xs[0] <= chosen <= xs[-1]:
        at = _x(chosen, xs)
        parts.append(
            f'<line x1="{at}" x2="{at}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" stroke="#999" stroke-dasharray="3 3"/>'
            f'<text x="{at}" y="{_TOP - 4}" text-anchor="middle">taken</text>'
        )
    for index, (name, colour, line) in enumerate((name, colour, line) for name, colour, line in lines if line):
        parts.append(_curve(line, xs, ys, colour))
        if name:
            parts.append(
                f'<text x="{_PANEL - _RIGHT}" y="{16 + 12 * index}" text-anchor="end" fill="{colour}">{name}</text>'
            )
    return "".join(parts)


def _curve(line: Sequence[Point], xs: Sequence[float], ys: Sequence[float], colour: str) -> str:
    places = [(_x(x, xs), _y(y, ys)) for x, y in line]
    path = " ".join(f"{x},{y}" for x, y in places)
    drawn = f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{path}"/>'
    dots = places if len(places) <= 40 else []
    return drawn + "".join(f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>' for x, y in dots)


def _grid(xs: Sequence[float], ys: Sequence[float], x_name: str) -> str:
    low = _HEIGHT - _BOTTOM
    parts = []
    for value in ys:
        at = _y(value, ys)
        parts.append(f'<line x1="{_LEFT}" x2="{_PANEL - _RIGHT}" y1="{at}" y2="{at}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{at + 4}" text-anchor="end">{value:g}</text>')
    for value in xs:
        parts.append(f'<text x="{_x(value, xs)}" y="{low + 14}" text-anchor="middle">{value:g}</text>')
    middle = (_LEFT + _PANEL - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{low + 30}" text-anchor="middle">{escape(x_name)}</text>')
    return "".join(parts)


def _axis(values: Sequence[float]) -> list[float]:
    """Round numbers from below the lowest to above the highest, three to seven of them."""
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    rough = span / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 10) for index in range(first, max(last, first + 1) + 1)]


def _x(value: float, axis: Sequence[float]) -> float:
    return round(_LEFT + (value - axis[0]) / (axis[-1] - axis[0]) * (_PANEL - _RIGHT - _LEFT), 1)


def _y(value: float, axis: Sequence[float]) -> float:
    low = _HEIGHT - _BOTTOM
    return round(low - (value - axis[0]) / (axis[-1] - axis[0]) * (low - _TOP), 1)


def _percent(line: Sequence[Point]) -> list[Point]:
    return sorted((x, 100 * y) for x, y in line)


def _thinned(line: Sequence[Point]) -> list[Point]:
    """Means of equally many neighbours, if there are more points than a screen shows."""
    size = -(-len(line) // _MAX_POINTS) if line else 1
    groups = [line[start : start + size] for start in range(0, len(line), size)]
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]
