"""The report's plots as inline SVG: transparent, coloured by the page, the same bytes for the same values."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from projectone.contracts.scores import Score
from projectone.demo.story import Act, User, Version

# Stand-ins that the page's style sheet replaces, so that one drawing serves light and dark.
INK, FAINT, BEFORE, AFTER, BAD = "#111111", "#cccccc", "#aa7700", "#007755", "#bb3333"
_VARIABLES = {INK: "--ink", FAINT: "--line", BEFORE: "--before", AFTER: "--after", BAD: "--bad"}
_WIDTH_IN = 7.2
_STYLE = {
    "svg.fonttype": "none",  # text stays text: it can be selected, searched and read aloud
    "svg.hashsalt": "projectone",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def versions_plot(versions: Sequence[Version]) -> str:
    """Word error rate of every judged model on the golden set, with its interval; the refused ones in red."""
    with _axes(height_in=0.75 + 0.55 * len(versions)) as axes:
        for place, version in enumerate(versions):
            colour = AFTER if version.is_released else BAD
            _interval(axes, place, version.golden, colour)
        _rows(axes, [version.name for version in versions], "word error rate on the golden set, %")
        return _svg(axes, "Word error rate by version with 95 % intervals")


def users_plot(users: Sequence[User]) -> str:
    """Each user's word error rate on recordings that never left the device: before and after."""
    with _axes(height_in=0.75 + 0.5 * len(users)) as axes:
        for place, user in enumerate(users):
            _dumbbell(axes, place, user.before, user.after)
        labels = [user.name if user.has_consented else f"{user.name} (said no)" for user in users]
        _rows(axes, labels, "word error rate, %")
        return _svg(axes, "Word error rate per user, before and after")


def slices_plot(slices: dict[str, tuple[Score, Score]]) -> str:
    """The same by accent."""
    with _axes(height_in=0.75 + 0.5 * len(slices)) as axes:
        for place, (before, after) in enumerate(slices.values()):
            _dumbbell(axes, place, before, after)
        _rows(axes, list(slices), "word error rate, %")
        return _svg(axes, "Word error rate per accent, before and after")


def loss_plot(losses: Sequence[tuple[int, float]]) -> str:
    """What the trainer's loss did, step by step."""
    with _axes(height_in=2.4) as axes:
        axes.plot([step for step, _ in losses], [loss for _, loss in losses], color=AFTER, linewidth=1.8)
        axes.set_xlabel("step")
        axes.set_ylabel("nats per token")
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color=FAINT, linewidth=0.6)
        return _svg(axes, "Training loss by step")


def timeline_plot(acts: Sequence[Act]) -> str:
    """Where the time went."""
    with _axes(height_in=0.7 + 0.38 * len(acts)) as axes:
        for place, act in enumerate(acts):
            axes.barh(place, max(act.wall_s, 0.4), left=act.started_s, height=0.55, color=AFTER, alpha=0.85)
            axes.annotate(
                f"{act.wall_s:.0f} s", (act.started_s + act.wall_s, place), (5, 0), textcoords="offset points",
                va="center", fontsize=9, color=INK,
            )  # fmt: skip
        axes.margins(x=0.08)
        _rows(axes, [act.title for act in acts], "seconds since the start")
        return _svg(axes, "Timeline of the demo")


def _interval(axes: Axes, place: float, score: Score, colour: str) -> None:
    axes.plot([100 * score.low, 100 * score.high], [place, place], color=colour, linewidth=2.2, solid_capstyle="round")
    axes.plot([100 * score.value], [place], "o", color=colour, markersize=9)
    axes.annotate(
        f"{100 * score.value:.1f}", (100 * score.value, place), (0, 9), textcoords="offset points", ha="center",
        fontsize=10, color=INK,
    )  # fmt: skip


def _dumbbell(axes: Axes, place: float, before: Score, after: Score) -> None:
    axes.plot([100 * before.value, 100 * after.value], [place, place], color=FAINT, linewidth=3, zorder=1)
    axes.plot([100 * before.value], [place], "o", color=BEFORE, markersize=9, zorder=2)
    axes.plot([100 * after.value], [place], "o", color=AFTER, markersize=9, zorder=3)


def _rows(axes: Axes, labels: Sequence[str], x_label: str) -> None:
    # A dollar would start a formula: the labels are names that strangers chose.
    axes.set_yticks(range(len(labels)), [_shortened(label).replace("$", r"\$") for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.7)
    axes.set_xlim(left=0)
    axes.set_xlabel(x_label)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _shortened(label: str, *, most: int = 34) -> str:
    return label if len(label) <= most else f"{label[: most - 1]}…"


@contextmanager
def _axes(*, height_in: float) -> Iterator[Axes]:
    with matplotlib.rc_context():
        matplotlib.rcParams.update(_STYLE)  # type: ignore[arg-type]  # the stubs list every name in a literal type
        figure = Figure(figsize=(_WIDTH_IN, height_in), layout="constrained")
        yield figure.add_subplot()


def _svg(axes: Axes, title: str) -> str:
    buffer = io.StringIO()
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    # Ids are the same in every drawing; in one page each needs its own.
    prefix = re.sub(r"[^a-z]+", "-", title.lower())
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r'(xlink:href="|url\()#([^")]+)', rf"\1#{prefix}-\2", text)
    text = re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"|<svg height="[^"]*" ', r"<svg \1", text, count=1)
    return re.sub(r"<svg ", f'<svg role="img" aria-label="{title}" ', text, count=1)
