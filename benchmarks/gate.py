"""How often the gate is wrong: equal models it promotes (A/A), better ones it does not (A/B), by size of the set.

The real gate judges simulated pairs of reports of which the truth is known. How people and models differ is taken from
the starter's scores on real speech; `--measure FOLDER` takes it again, from what `benchmarks/results.py` keeps. Beside
the gate stand what others ship: a bare `new < old`, and an interval that draws clips as if nobody spoke two of them.

    python benchmarks/gate.py [--quick] [--json] [--write]             (--write: docs/gate.md and its picture)
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from projectone import __version__
from projectone.contracts.scores import EvaluationReport
from projectone.server.evaluation.bootstrap import MANY_SPEAKERS
from projectone.server.evaluation.gate import GateConfig, judge
from projectone.server.evaluation.simulation import Crowd, simulated_reports

ROOT = Path(__file__).resolve().parents[1]
Decide = Callable[[EvaluationReport, EvaluationReport, GateConfig], bool]
_Errors = dict[str, list[Any]]  # clip -> speaker, word errors, words


@dataclass(frozen=True)
class Size:
    """Golden sets by (people, clips of each), true gains, and how many pairs of models meet in each cell."""

    sets: tuple[tuple[int, int], ...] = ((4, 30), (8, 15), (20, 12), (20, 60), (50, 12), (100, 12))
    gains: tuple[float, ...] = (0.005, 0.01, 0.02, 0.03, 0.05)
    n_equal: int = 500
    n_better: int = 100
    n_resamples: int = 1_000


WHOLE, QUICK = Size(), Size(sets=((20, 12), (50, 12)), gains=(0.02,), n_equal=60, n_better=20, n_resamples=500)


def by_gate(production: EvaluationReport, candidate: EvaluationReport, config: GateConfig) -> bool:
    """The gate as it is."""
    return judge(production, candidate, config).is_new_model_better


def by_comparison(production: EvaluationReport, candidate: EvaluationReport, config: GateConfig) -> bool:
    """A bare `new < old`."""
    return candidate.wer.value < production.wer.value


def by_clips(production: EvaluationReport, candidate: EvaluationReport, config: GateConfig) -> bool:
    """The same gate, told that every clip is somebody else's."""
    return judge(_strangers(production), _strangers(candidate), config).is_new_model_better


RULES: dict[str, Decide] = {"gate": by_gate, "clips": by_clips, "bare": by_comparison}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few pairs and two sets: says little about rates")
    parser.add_argument("--seed", type=int, default=0, help="of people, models and draws (default 0)")
    parser.add_argument("--measure", type=Path, metavar="FOLDER", help="print how real models differ, from its cells")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--write", action="store_true", help="put table and picture into docs/")
    arguments = parser.parse_args(argv)
    if arguments.measure is not None:
        print(json.dumps(measure(arguments.measure)))
        return
    report = simulate(QUICK if arguments.quick else WHOLE, seed=arguments.seed)
    if not arguments.json:
        print(table_of(report))
    if arguments.write:
        write_docs(report, ROOT / "docs")
    print(json.dumps(report))


def simulate(size: Size, *, seed: int, crowd: Crowd | None = None) -> dict[str, Any]:
    """Shares that each rule promotes, by set and true gain."""
    crowd, begun = crowd or Crowd(), time.process_time()
    rows: list[dict[str, Any]] = []
    for number, (n_speakers, n_each) in enumerate(size.sets):
        shares: dict[str, dict[str, float]] = defaultdict(dict)
        config = GateConfig(n_resamples=size.n_resamples, seed=seed)
        # Few people speak for themselves alone, so that equal means equal for them.
        own = Crowd(taste=0.0) if n_speakers < config.few_speakers else crowd
        for gain in (0.0, *size.gains):
            random = np.random.default_rng([seed, number, round(1e4 * gain)])
            rules = RULES if gain == 0 else {"gate": by_gate}
            n_pairs = size.n_better if gain else size.n_equal
            pairs = (
                simulated_reports(
                    own,
                    random,
                    n_speakers=n_speakers,
                    clips_per_speaker=n_each,
                    gain=gain,
                    n_slices=1 + (n_speakers >= 2 * MANY_SPEAKERS),
                )
                for _ in range(n_pairs)
            )
            promoted = [[decide(*pair, config) for decide in rules.values()] for pair in pairs]
            for name, share in zip(rules, np.mean(promoted, axis=0), strict=True):
                shares[name][f"{gain:g}"] = round(float(share), 4)
        rows.append({"speakers": n_speakers, "clips": n_speakers * n_each, "promoted": dict(shares)})
        print(f"{len(rows)}/{len(size.sets)}: {rows[-1]}", file=sys.stderr, flush=True)
    return {
        "name": "gate",
        "rows": rows,
        "worst_false_promotion": max(row["promoted"]["gate"]["0"] for row in rows),
        "conditions": {
            **asdict(size),
            "seed": seed,
            "crowd": asdict(crowd),
            "version": __version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "cpu_s": round(time.process_time() - begun),
        },
    }


def measure(folder: Path) -> dict[str, Any]:
    """How people differ for one model, and how far two models differ that only the seed of their training tells apart.

    Args:
        folder: Of the cells that `benchmarks/results.py` keeps; its general speech is looked at.
    """
    notes = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    before = next(note["result"]["errors"]["general"] for note in notes if "method" not in note["identity"])
    seeds: dict[tuple[Any, ...], list[_Errors]] = defaultdict(list)
    for note in notes:
        if "method" in note["identity"]:
            kind = tuple(note["identity"][name] for name in ("method", "has_replay", "sequence"))
            seeds[kind].append(note["result"]["errors"]["tuned"]["general"])
    clips = sorted(before)
    speakers = np.array([before[clip][0] for clip in clips])
    words = np.array([before[clip][2] for clip in clips], float)

    def errors_of(model: _Errors) -> npt.NDArray[np.float64]:
        return np.array([model[clip][1] for clip in clips], float)

    pairs = [
        (errors_of(first), errors_of(second))
        for own in seeds.values()
        for first, second in itertools.combinations(own, 2)
    ]
    changes = [first - second for first, second in pairs]
    own_words = np.array([words[speakers == name].sum() for name in np.unique(speakers)])
    spreads = []
    for change in changes:
        shifts = np.array([change[speakers == name].sum() for name in np.unique(speakers)]) / own_words
        by_chance = [(change[speakers == name] ** 2).sum() for name in np.unique(speakers)] / own_words**2
        spreads.append(float(shifts.var(ddof=1) - by_chance.mean()))
    errors = errors_of(before)
    rates = np.array([errors[speakers == name].sum() for name in np.unique(speakers)]) / own_words
    each = dict(zip(np.unique(speakers), rates, strict=True))
    expected = words * [each[name] for name in speakers]
    excess = ((errors - expected) ** 2).sum() / (expected * (1 - expected / words)).sum()
    return {
        "n_speakers": len(rates),
        "n_clips": len(clips),
        "n_pairs": len(changes),
        "wer": round(float(rates.mean()), 4),
        # What is left of the spread once chance within each person's words is taken off.
        "speaker_sd": round(
            float(max(0.0, rates.var(ddof=1) - excess * (rates * (1 - rates) / own_words).mean()) ** 0.5), 4
        ),
        "clumping": round(float((excess - 1) / (words.mean() - 1)), 3),
        "words_per_clip": round(float(words.mean()), 2),
        "clips_changed": round(float(np.mean([(change != 0).mean() for change in changes])), 3),
        "words_changed": round(float(np.mean([abs(change).sum() / words.sum() for change in changes])), 4),
        "right_clips_lost": round(float(np.mean([(second[first == 0] > 0).mean() for first, second in pairs])), 3),
        "taste_mean": round(float(np.mean(spreads)), 6),
        "taste_largest": round(float(max(0.0, *spreads) ** 0.5 / rates.mean()), 3),
    }


def table_of(report: dict[str, Any]) -> str:
    """The rates in per cent, in Markdown."""
    sizes = report["conditions"]
    gains = [f"{gain:g}" for gain in sizes["gains"]]
    heads = ["golden set", "equal: gate", "equal: clips alone", "equal: `new < old`"]
    heads += [f"{100 * float(gain):g} better" for gain in gains]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in report["rows"]:
        shares = [row["promoted"][rule]["0"] for rule in RULES] + [row["promoted"]["gate"][gain] for gain in gains]
        shown = [f"{100 * share:.1f}" for share in shares[:3]] + [f"{100 * share:.0f}" for share in shares[3:]]
        lines.append(f"| {row['clips']} clips of {row['speakers']} people | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def write_docs(report: dict[str, Any], docs: Path) -> None:
    """Put the table between the page's marks and draw the picture beside it."""
    page = docs / "gate.md"
    picture = "![Promotions of equal and of better models, by size of the golden set](images/gate.svg)"
    conditions = ", ".join(f"{name} {value}" for name, value in report["conditions"].items())
    made = f"{table_of(report)}\n\n{picture}\n\nConditions: {conditions}."
    text = re.sub(
        r"(<!-- gate -->\n).*?(\n<!-- end -->)", lambda marks: marks[1] + made + marks[2], page.read_text(), flags=re.S
    )
    draw(report, docs / "images" / "gate.svg")
    page.write_text(text)


def draw(report: dict[str, Any], path: Path) -> None:
    """Left: equal models that are promoted, by rule. Right: better models that are, by true gain."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    names = {"gate": "the gate", "clips": "interval over clips alone", "bare": "bare `new < old`"}
    rows = report["rows"]
    labels = [f"{row['clips']}\n{row['speakers']}" for row in rows]
    with pyplot.rc_context({"svg.hashsalt": "projectone", "svg.fonttype": "none", "font.size": 9}):
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), layout="constrained")
        for (rule, name), colour in zip(names.items(), ("#007755", "#aa7700", "#aa3333"), strict=True):
            left.plot(
                range(len(rows)), [100 * row["promoted"][rule]["0"] for row in rows], "o-", color=colour, label=name
            )
        left.axhline(5, color="#888888", lw=0.8, ls="--")
        left.text(-0.2, 5.3, "5 % allowed", ha="left", color="#666666", fontsize=8)
        left.set_yscale("symlog", linthresh=5)
        left.set_yticks([0, 1, 2, 3, 4, 5, 10, 20, 50], ["0", "1", "2", "3", "4", "5", "10", "20", "50"])
        left.set_ylim(0, 75)
        left.set_ylabel("equally good models promoted, %")
        left.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8)
        gains = [0.0, *report["conditions"]["gains"]]
        for row, shade in zip(rows, np.linspace(0.8, 0.1, len(rows)), strict=True):
            shares = [100 * row["promoted"]["gate"][f"{gain:g}"] for gain in gains]
            colour = pyplot.get_cmap("viridis")(shade)
            label = f"{row['clips']} clips, {row['speakers']} people"
            right.plot([100 * gain for gain in gains], shares, "o-", ms=3, color=colour, label=label)
        right.axhline(80, color="#888888", lw=0.8, ls="--")
        right.set_xlabel("true gain, points of word error rate")
        right.set_ylabel("promoted by the gate, %")
        right.legend(frameon=False, fontsize=8)
        left.set_xticks(range(len(rows)), labels)
        left.set_xlabel("clips and people in the golden set")
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None})
        pyplot.close(figure)


def _strangers(report: EvaluationReport) -> EvaluationReport:
    alone = tuple(clip.model_copy(update={"speaker": clip.clip_id}) for clip in report.utterances)
    return report.model_copy(update={"utterances": alone})


if __name__ == "__main__":
    main()
