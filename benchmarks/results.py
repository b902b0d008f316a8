"""What fine-tuning is worth on real speech: word errors before and after, for every way to train.

The person to learn from is the one FSDD speaker that the starter never heard (george, a Greek accent). It learns from
his corrections; judged are other clips of his, the digits of the three speakers whom the starter knows, and general
speech: the ten AN4 speakers that it never heard.

All weights or adapters, with and without replay of general speech, with and without interpolation towards the base,
with and without a second stage on sequences (of all weights, with replay), over three seeds. Every cell is kept in the
output folder, so that the script goes on where it was stopped.

    python benchmarks/results.py [--data DIR] [--quick] [--json] [--write]     (--write: docs/results.md and its plot)
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import platform
import re
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # read once, when the libraries are loaded

import projectone.server.training  # noqa: E402, F401  # isort: skip
from mlx.utils import tree_flatten, tree_unflatten  # noqa: E402

from projectone import __version__  # noqa: E402
from projectone.contracts.base import canonical_json, sha256_hex  # noqa: E402
from projectone.server.corpus.manifests import ManifestRow, read_manifest  # noqa: E402
from projectone.server.evaluation.bootstrap import Interval, ratio_interval  # noqa: E402
from projectone.server.evaluation.gate import GateConfig  # noqa: E402
from projectone.server.evaluation.golden import GoldenClip, golden_set  # noqa: E402
from projectone.server.evaluation.scorer import score_model  # noqa: E402
from projectone.server.training import TrainingClip, TrainingConfig, finetune  # noqa: E402
from projectone.server.training.config import Method, RolloutConfig, SequenceLoss  # noqa: E402
from projectone.server.training.examples import ExampleBuilder  # noqa: E402
from projectone.server.training.interpolation import AlphaPoint  # noqa: E402
from projectone.server.training.material import sort_clips  # noqa: E402
from projectone.server.training.selection import DevJudge, choose_alpha, cost_since, forgets_at_most  # noqa: E402
from projectone.server.training.state import Best, DevScore  # noqa: E402
from projectone.server.work.clips import open_decoder  # noqa: E402
from projectone.speech.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from projectone.storage.files import building_directory, digest_of, write_atomically  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
PEOPLE = ("george",)
UNHEARD = frozenset({"fbbh", "mcen", "mgah", "mrcb", "fjam", "fplp", "mdxs", "mjjs2", "mmap", "mtje"})
ALPHAS = (0.25, 0.5, 0.75, 1.0)
METHODS: tuple[Method, ...] = ("full", "lora")
TESTS = {"same": "same person, other clips", "other": "people it knows", "general": "general speech"}
SMALL_GATE = GateConfig().few_speakers
Errors = dict[str, dict[str, tuple[str, int, int]]]  # test -> clip -> speaker, word errors, words


@dataclass(frozen=True)
class Size:
    """How much of everything: corrections to learn from, clips of each test, general clips to mix in, steps at most."""

    corrections: int
    clips_of_a_test: int
    replay: int
    max_steps: int | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    people: tuple[str, ...] = PEOPLE
    replays: tuple[bool, ...] = (False, True)
    sequences: tuple[SequenceLoss, ...] = ("mwer", "grpo")


WHOLE = Size(corrections=120, clips_of_a_test=200, replay=300)
QUICK = Size(
    corrections=60,
    clips_of_a_test=16,
    replay=60,
    max_steps=8,
    seeds=(0,),
    replays=(True,),
    sequences=("mwer",),
)


@dataclass(frozen=True)
class Cell:
    """One training run: who is learned from, how, and the seed."""

    person: str
    method: Method
    has_replay: bool
    seed: int
    sequence: SequenceLoss = "off"


@dataclass(frozen=True)
class Speech:
    """The clips of one person's fold."""

    corrections: list[TrainingClip]
    replay: list[TrainingClip]
    tests: dict[str, list[GoldenClip]]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder with fsdd and an4")
    parser.add_argument("--base", type=Path, default=ROOT / "models" / "starter", help="model folder to start from")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "results", help="where cells are kept")
    parser.add_argument(
        "--quick", action="store_true", help="one seed, few clips, few steps: says nothing about quality"
    )
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--write", action="store_true", help="put table and plot into docs/")
    arguments = parser.parse_args(argv)
    if not (arguments.data / "fsdd" / "manifest.jsonl").is_file():
        print(json.dumps({"name": "results", "ratios": {}, "left_out": f"no fsdd and an4 in {arguments.data.name!r}"}))
        return
    size = QUICK if arguments.quick else WHOLE
    report = measure(arguments.data, arguments.base, arguments.out, size)
    if not arguments.json:
        print(table_of(report))
        print(stage_table_of(report))
    if arguments.write:
        write_docs(report, ROOT / "docs")
    print(json.dumps({key: value for key, value in report.items() if key != "curves"}))


def measure(data: Path, base: Path, out: Path, size: Size) -> dict[str, Any]:
    """Train and judge every cell that is not in `out` yet; gives the report."""
    speech = {person: read_speech(data, person, size) for person in size.people}
    befores = {
        person: cached(
            out,
            "before",
            _identity(base, clips, size),
            partial(_before, base, clips),
        )
        for person, clips in speech.items()
    }
    cells = [Cell(*parts) for parts in itertools.product(size.people, METHODS, size.replays, size.seeds)]
    staged = itertools.product(size.people, METHODS[:1], size.replays[-1:], size.seeds, size.sequences)
    cells += [Cell(*parts) for parts in staged]
    results = []
    for number, cell in enumerate(cells, start=1):
        begun = time.monotonic()
        identity = {**_identity(base, speech[cell.person], size), **dataclasses.asdict(cell)}
        results.append(
            (cell, cached(out, "cell", identity, lambda folder, c=cell: run(c, speech[c.person], base, folder, size)))
        )
        say(f"{number}/{len(cells)} {cell} ({time.monotonic() - begun:.0f} s)")
    return report_on(befores, results, size, base)


def read_speech(data: Path, person: str, size: Size) -> Speech:
    """Corrections and tests of one person's fold; which clip is where depends on the names alone."""

    def ordered(rows: Sequence[ManifestRow]) -> list[ManifestRow]:
        return sorted(rows, key=lambda row: sha256_hex(row.clip_id.encode()))

    digits, an4 = read_manifest(data / "fsdd"), read_manifest(data / "an4")
    own = ordered([row for row in digits if row.speaker == person])
    others = ordered([row for row in digits if row.speaker not in PEOPLE])
    general = ordered([row for row in an4 if row.speaker in UNHEARD])
    heard = ordered([row for row in an4 if row.speaker not in UNHEARD])
    tests = {"same": own[size.corrections :], "other": others, "general": general}
    with open_decoder() as decode:
        return Speech(
            corrections=[
                TrainingClip(row.clip_id, decode(row.audio), row.text, row.speaker) for row in own[: size.corrections]
            ],
            replay=[
                TrainingClip(row.clip_id, decode(row.audio), row.text, row.speaker) for row in heard[: size.replay]
            ],
            tests={
                name: [
                    GoldenClip(row.clip_id, row.speaker, "all", decode(row.audio), row.text)
                    for row in rows[: size.clips_of_a_test]
                ]
                for name, rows in tests.items()
            },
        )


def cached(out: Path, kind: str, identity: dict[str, Any], make: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """The note of this identity in `out`, or what `make` gives (with a folder to work in), noted there."""
    path = out / f"{kind}-{sha256_hex(canonical_json(identity))[:16]}.json"
    if path.is_file():
        return dict(json.loads(path.read_text())["result"])
    result = make(path.with_suffix(""))
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({"identity": identity, "result": result}).encode())
    return dict(json.loads(path.read_text())["result"])


def config_of(cell: Cell, size: Size) -> TrainingConfig:
    """The product's defaults, but for what the cell varies. General speech is watched in every cell."""
    return TrainingConfig(
        method=cell.method,
        sequence=cell.sequence,
        rollouts=RolloutConfig(max_steps=size.max_steps),
        seed=cell.seed,
        max_steps=size.max_steps,
        alphas=(1.0,),
        **({} if cell.has_replay else {"replay_fraction": 0.0}),
    )


def run(cell: Cell, speech: Speech, base: Path, folder: Path, size: Size) -> dict[str, Any]:
    """Train one cell, then look for the best share of it; the errors of both models on every test."""
    config = config_of(cell, size)
    result = finetune(
        base, speech.corrections, config, work_folder=folder / "work", out=folder / "tuned", replay_clips=speech.replay
    )
    alpha, curve = interpolate_on_dev(base, folder, speech, dataclasses.replace(config, alphas=ALPHAS))
    made = {
        "alpha": alpha,
        "curve": [dataclasses.asdict(point) for point in curve],
        "n_steps": result.n_steps,
        "wall_s": result.wall_s,
        "sequence": None if result.sequence is None else dataclasses.asdict(result.sequence),
        "errors": {"tuned": judged(folder / "tuned", speech), "mixed": judged(folder / "mixed", speech)},
    }
    shutil.rmtree(folder)
    return made


def interpolate_on_dev(
    base: Path, folder: Path, speech: Speech, config: TrainingConfig
) -> tuple[float, list[AlphaPoint]]:
    """What `finetune` does at its end: the best allowed share on the held-back clips becomes the model `mixed`."""
    checkpoint = load_checkpoint(base)
    material = sort_clips(checkpoint, speech.corrections, None, speech.replay, config)
    judge = DevJudge(ExampleBuilder(checkpoint, language="en"), material.held_back, material.general, config)
    opening = dict(tree_flatten(checkpoint.model.parameters()))
    tuned = dict(tree_flatten(load_checkpoint(folder / "tuned").model.parameters()))
    before, score = judge(opening), judge(tuned)
    points = [AlphaPoint(0.0, before.wer, before.general_wer)]

    def on_judged(alpha: float, found: DevScore) -> None:
        points.append(AlphaPoint(alpha, found.wer, found.general_wer))

    alpha, weights, _ = choose_alpha(
        opening,
        Best(step=0, score=score, weights=tuned, lowest=score),
        judge,
        config.alphas,
        cost=cost_since(before),
        on_judged=on_judged,
        is_allowed=forgets_at_most(config.max_forgetting, before),
    )
    checkpoint.model.update(tree_unflatten(list(weights.items())))
    if not (folder / "mixed").exists():
        with building_directory(folder / "mixed") as building:
            save_checkpoint(checkpoint, building)
    return alpha, sorted(points, key=lambda point: point.alpha)


def _before(base: Path, clips: Speech, _work: Path) -> dict[str, Errors]:
    return {"errors": judged(base, clips)}


def judged(model: Path, speech: Speech) -> Errors:
    """Word errors of a model on every clip of every test."""
    return {
        name: {
            u.clip_id: (u.speaker, u.word_errors, u.n_words)
            for u in score_model(model, golden_set(clips)).utterances
            if u.n_words
        }
        for name, clips in speech.tests.items()
    }


def report_on(
    befores: dict[str, dict[str, Any]], results: list[tuple[Cell, dict[str, Any]]], size: Size, base: Path
) -> dict[str, Any]:
    """Rows of the table, curves of the plot, ratios and conditions."""
    before = {person: note["errors"] for person, note in befores.items()}
    variants: dict[tuple[str, bool, str, bool], list[tuple[Cell, dict[str, Any]]]] = defaultdict(list)
    for cell, result in results:
        for is_mixed in (False, True):
            variants[cell.method, cell.has_replay, cell.sequence, is_mixed].append((cell, result))
    rows: list[dict[str, Any]] = [{"name": "base", **{test: summary(before, [before], test) for test in TESTS}}]
    for (method, has_replay, sequence, is_mixed), members in variants.items():
        stage = [] if sequence == "off" else [sequence]
        found = [result["sequence"] for _, result in members if result.get("sequence")]
        seeds = [
            {
                cell.person: result["errors"]["mixed" if is_mixed else "tuned"]
                for cell, result in members
                if cell.seed == s
            }
            for s in size.seeds
        ]
        rows.append(
            {
                "name": " + ".join((method, *["replay"] * has_replay, *stage, *["interpolation"] * is_mixed)),
                **({"kept": [outcome["is_kept"] for outcome in found]} if found else {}),
                "alpha": [result["alpha"] if is_mixed else 1.0 for _, result in members],
                **{test: summary(before, seeds, test) for test in TESTS},
            }
        )
    return {
        "name": "results",
        # Below one: fewer word errors than before, with replay and interpolation.
        "ratios": {
            f"{row['name'].split()[0]}_{test}": round(row[test]["wer"][0] / max(1e-9, rows[0][test]["wer"][0]), 3)
            for row in rows
            if row["name"].endswith("replay + interpolation")
            for test in TESTS
        },
        "conditions": {
            "base": f"{base.name} (sha256 {digest_of(base / 'model.safetensors')[:12]})",
            "version": __version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            **dataclasses.asdict(size),
            "clips": {test: len({c for person in before.values() for c in person[test]}) for test in TESTS},
            "training_s": round(sum(result["wall_s"] for _, result in results)),
        },
        "rows": rows,
        "stages": stages_of(results, size),
        "curves": curves_of(results),
    }


def stages_of(results: Sequence[tuple[Cell, dict[str, Any]]], size: Size) -> list[dict[str, Any]]:
    """What each second stage adds to the same run without it: gain in points of the words, clip by clip, over seeds."""
    rows = []
    for sequence, is_mixed in itertools.product(size.sequences, (False, True)):
        which = "mixed" if is_mixed else "tuned"
        runs: dict[str, list[dict[str, Errors]]] = {
            stage: [
                {cell.person: result["errors"][which]}
                for cell, result in results
                if (cell.method, cell.has_replay, cell.sequence) == (METHODS[0], size.replays[-1], stage)
            ]
            for stage in ("off", sequence)
        }
        row: dict[str, Any] = {"name": sequence + " + interpolation" * is_mixed}
        for test in TESTS:
            before, words, speakers = _per_clip(runs["off"], test)
            after, _, _ = _per_clip(runs[sequence], test)
            row[test] = _rounded(_interval({clip: before[clip] - after[clip] for clip in before}, words, speakers))
        rows.append(row)
    return rows


def summary(before: dict[str, Errors], seeds: Sequence[dict[str, Errors]], test: str) -> dict[str, Any]:
    """Word error rate (mean over seeds, 95 % interval over clips), lowest and highest seed, and gain over `before`."""
    base, words, speakers = _per_clip([before], test)
    after, _, _ = _per_clip(seeds, test)
    alone = [_per_clip([one], test)[0] for one in seeds]
    each = [sum(errors.values()) / sum(words.values()) for errors in alone]
    gain = _interval({clip: base[clip] - after[clip] for clip in base}, words, speakers)
    return {
        "wer": _rounded(_interval(after, words, speakers)),
        "seeds": [round(min(each), 4), round(max(each), 4)],
        "gain": _rounded(gain),
    }


def _interval(errors: dict[str, float], words: dict[str, int], speakers: dict[str, str]) -> Interval:
    """Errors over words with its 95 % interval, drawn by speaker and clip."""
    clips = sorted(errors)
    owners = [speakers[clip] for clip in clips]
    return ratio_interval(
        [errors[clip] for clip in clips],
        [words[clip] for clip in clips],
        owners,
        are_speakers_fixed=len(set(owners)) < SMALL_GATE,
    )


def _per_clip(runs: Sequence[dict[str, Errors]], test: str) -> tuple[dict[str, float], dict[str, int], dict[str, str]]:
    """Errors of each clip, averaged over runs and over the folds that have it; its words; its speaker."""
    found: dict[str, list[int]] = defaultdict(list)
    words: dict[str, int] = {}
    speakers: dict[str, str] = {}
    for errors in itertools.chain.from_iterable(one.values() for one in runs):
        for clip, (speaker, n_errors, n_words) in errors[test].items():
            found[clip].append(n_errors)
            words[clip], speakers[clip] = n_words, speaker
    return {clip: sum(counts) / len(counts) for clip, counts in found.items()}, words, speakers


def curves_of(results: Sequence[tuple[Cell, dict[str, Any]]]) -> dict[str, list[list[float]]]:
    """Of every way to train: alpha, mean error on the held-back clips, mean error on the watched general speech."""
    points: dict[str, dict[float, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for cell, result in results:
        if cell.sequence != "off":
            continue
        name = cell.method + (" + replay" if cell.has_replay else "")
        for point in result["curve"]:
            points[name][point["alpha"]].append((point["dev_wer"], point["general_wer"] or 0.0))
    return {
        name: [
            [alpha, *(round(sum(values) / len(values), 4) for values in zip(*seen, strict=True))]
            for alpha, seen in sorted(by_alpha.items())
            if alpha in (0.0, *ALPHAS)
        ]
        for name, by_alpha in points.items()
    }


def table_of(report: dict[str, Any]) -> str:
    """The rows in Markdown: rates and gains in per cent of the words, 95 % intervals in brackets."""
    lines = [
        "| weights | " + " | ".join(f"{what}, WER % | gain, points" for what in TESTS.values()) + " | alpha |",
        "|---" * (2 * len(TESTS) + 2) + "|",
    ]
    for row in report["rows"]:
        shown = []
        for test in TESTS:
            (wer, low, high), (least, most) = row[test]["wer"], row[test]["seeds"]
            seeds = "" if "alpha" not in row else f"; seeds {100 * least:.1f} to {100 * most:.1f}"
            shown.append(f"{100 * wer:.1f} ({100 * low:.1f} to {100 * high:.1f}{seeds})")
            gain = row[test]["gain"]
            is_base = "alpha" not in row
            shown.append("" if is_base else f"{100 * gain[0]:+.1f} ({100 * gain[1]:+.1f} to {100 * gain[2]:+.1f})")
        if kept := row.get("kept"):
            row = {**row, "name": f"{row['name']} (kept {sum(kept)} of {len(kept)} times)"}
        alphas = row.get("alpha", [])
        shown.append(f"{sum(alphas) / len(alphas):.2f}" if alphas else "")
        lines.append(f"| {row['name']} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def stage_table_of(report: dict[str, Any]) -> str:
    """What the second stages add, in Markdown."""
    lines = ["| second stage | " + " | ".join(f"{what}, gain in points" for what in TESTS.values()) + " |"]
    lines.append("|---" * (len(TESTS) + 1) + "|")
    for row in report["stages"]:
        shown = [
            f"{100 * gain:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})" for gain, low, high in map(row.get, TESTS)
        ]
        lines.append(f"| {row['name']} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def write_docs(report: dict[str, Any], docs: Path) -> None:
    """Put the table between the page's marks and draw the plot beside it."""
    page = docs / "results.md"
    conditions = ", ".join(f"{name} {value}" for name, value in report["conditions"].items())
    plot = "![Word errors before and after, and along the way](images/results.svg)"
    stages = f"Against the same run without a second stage, clip by clip:\n\n{stage_table_of(report)}"
    made = f"{table_of(report)}\n\n{plot}\n\n{stages}\n\nConditions: {conditions}."
    text = re.sub(
        r"(<!-- results -->\n).*?(\n<!-- end -->)",
        lambda marks: marks[1] + made + marks[2],
        page.read_text(),
        flags=re.S,
    )
    draw(report, docs / "images" / "results.svg")
    page.write_text(text)


def draw(report: dict[str, Any], path: Path) -> None:
    """Left: word error rates with intervals. Right: what each share of the tuned weights comes to."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    with pyplot.rc_context({"svg.hashsalt": "projectone", "svg.fonttype": "none", "font.size": 9}):
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), layout="constrained")
        for shift, (test, colour) in enumerate(zip(TESTS, ("#007755", "#aa7700", "#336699"), strict=True)):
            for place, row in enumerate(report["rows"]):
                wer, low, high = (100 * value for value in row[test]["wer"])
                y = -place - 0.22 * (shift - 1)
                left.plot([low, high], [y, y], color=colour, lw=1.2)
                left.plot([wer], [y], "o", color=colour, ms=4, label=TESTS[test] if not place else None)
        left.set_yticks([-place for place in range(len(report["rows"]))], [row["name"] for row in report["rows"]])
        left.set_xlabel("word error rate, %")
        left.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        for name, points in report["curves"].items():
            alphas, dev, general = zip(*points, strict=True)
            (line,) = right.plot(alphas, [100 * value for value in dev], "o-", ms=3, label=f"{name}: held-back clips")
            right.plot(
                alphas, [100 * value for value in general], "--", color=line.get_color(), label="  general speech"
            )
        right.set_xlabel("share of the fine-tuned weights (alpha)")
        right.set_ylabel("word error rate while choosing, %")
        right.legend(frameon=False, fontsize=7)
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None})
        pyplot.close(figure)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _identity(base: Path, speech: Speech, size: Size) -> dict[str, Any]:
    clips = {"learn": [c.clip_id for c in speech.corrections], "replay": [c.clip_id for c in speech.replay]}
    tests = {name: golden_set(test).sha256 for name, test in speech.tests.items()}
    plain = TrainingConfig(max_steps=size.max_steps).to_json()
    return {"base": digest_of(base / "model.safetensors"), **clips, "tests": tests, "config": plain, "of": __version__}


def _rounded(interval: Interval) -> list[float]:
    return [round(value, 4) for value in (interval.value, interval.low, interval.high)]


if __name__ == "__main__":
    main()
