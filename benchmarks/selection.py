"""Which weights of a run to keep: word errors of people it never heard, for several ways to choose.

Each round draws 200 corrections of the demo's six synthetic people and trains on them as the demo does; some thirty are
held back. Of the weights that were judged on the way, and of shares of them, each way chooses by the held-back clips,
and what it chose transcribes the golden set: 108 clips of eighteen others with the same accents.

  ours             the last, all of it, unless earlier or less of it is better by more than chance explains
  lowest error     the lowest word error rate on the held-back clips, all of it: what transformers'
                   `load_best_model_at_end` with `metric_for_best_model="wer"` keeps
  lowest, shared   the same, then the share with the lowest error; of equal ones the smallest
  lowest loss      the lowest loss on the held-back clips, all of it: what `load_best_model_at_end` keeps by itself
  last             the last, all of it: what is kept where nothing is held back

    python benchmarks/selection.py [--quick] [--json] [--rounds N]
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # read once, when the libraries are loaded

import projectone.server.training  # noqa: E402, F401  # isort: skip
from projectone.demo.synthetic import write_synthetic_corpus  # noqa: E402
from projectone.server.corpus.manifests import ManifestRow, read_manifest  # noqa: E402
from projectone.server.training import TrainingClip, TrainingConfig, finetune  # noqa: E402
from projectone.server.training.adamw import Tensors  # noqa: E402
from projectone.server.training.engines import run as engine  # noqa: E402
from projectone.server.training.examples import ExampleBuilder  # noqa: E402
from projectone.server.training.interpolation import interpolate  # noqa: E402
from projectone.server.training.selection import (  # noqa: E402
    DevJudge,
    choose_alpha,
    cost_since,
    latest_unless_worse,
)
from projectone.server.training.state import Best, DevScore  # noqa: E402
from projectone.server.work.clips import open_decoder  # noqa: E402
from projectone.speech.checkpoint import load_checkpoint  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
STARTER = ROOT / "models" / "starter"
N_CORRECTIONS = 200
OURS, PEER = "ours", "lowest error"
Choice = tuple[int, float]  # which judgement of the run, and the share of its weights


@dataclass(frozen=True)
class Round:
    """A finished run: all that was judged on the way, and how to judge more.

    Attributes:
        base: Weights before the first step.
        before: Their score.
        judged: Weights and scores, in the order of the run.
        score: Judges weights on the run's held-back clips.
        unheard: Word error rate of weights on the golden set.
    """

    base: Tensors
    before: DevScore
    judged: list[Best]
    score: Callable[[Tensors], DevScore]
    unheard: Callable[[Tensors], float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round of few steps: says nothing about quality")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument(
        "--no-peers", action="store_true", help="for likeness with the others: there are none to install"
    )
    parser.add_argument("--rounds", type=int, default=12)
    arguments = parser.parse_args()
    config = TrainingConfig(max_steps=8 if arguments.quick else 110, alphas=(1.0,))
    n_rounds = 1 if arguments.quick else arguments.rounds
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        write_synthetic_corpus(corpus, seed=1)
        people = read_manifest(corpus, split="train")
        golden = [clip_of(row, row.clip_id, row.speaker) for row in read_manifest(corpus, split="golden")]
        for number in range(n_rounds):
            taken = run(corrections(people, number), golden, config, Path(folder) / str(number))
            rows.append(errors_of(taken))
            print(f"round {number + 1} of {n_rounds}: {rows[-1]}", file=sys.stderr, flush=True)
    report = report_on(rows)
    if not arguments.json:
        print(table_of(report))
    print(json.dumps(report))


def corrections(rows: Sequence[ManifestRow], number: int) -> list[TrainingClip]:
    """Clips of a round under names of their own: which of them are held back depends on these alone."""
    rng = random.Random(number)
    people = {speaker: f"{rng.getrandbits(64):x}" for speaker in sorted({row.speaker for row in rows})}
    drawn = rng.sample(list(rows), N_CORRECTIONS)
    return [clip_of(row, f"{rng.getrandbits(64):x}", people[row.speaker]) for row in drawn]


def clip_of(row: ManifestRow, clip_id: str, speaker: str) -> TrainingClip:
    """The clip of a row under another name."""
    with open_decoder() as decode:
        return TrainingClip(clip_id, decode(row.audio), row.text, speaker)


def run(clips: Sequence[TrainingClip], golden: Sequence[TrainingClip], config: TrainingConfig, folder: Path) -> Round:
    """Train, and keep everything that was judged on the way."""
    seen: list[tuple[Tensors, DevScore]] = []
    judges: list[DevJudge] = []

    class Keeping(DevJudge):
        def __call__(self, weights: Tensors) -> DevScore:
            score = super().__call__(weights)
            seen.append((dict(weights), score))
            judges.append(self)
            return score

    with mock.patch.object(engine, "DevJudge", Keeping):
        finetune(STARTER, clips, config, work_folder=folder / "work", out=folder / "out")
    checkpoint = load_checkpoint(STARTER)
    builder = ExampleBuilder(checkpoint, language="en")
    heard_by = DevJudge(builder, builder.build(golden)[0], [], config)
    (base, before), *after = seen
    judged = [
        Best(step=step, score=score, weights=weights, lowest=score)
        for step, (weights, score) in enumerate(after[: config.evaluate_times])  # what follows is the rounded model
    ]
    again = functools.partial(DevJudge.__call__, judges[0])
    return Round(base, before, judged, again, lambda weights: heard_by(weights).wer)


def errors_of(taken: Round) -> dict[str, float]:
    """What each way's choice comes to on people who were never heard."""
    known: dict[Choice, float] = {}
    scores: dict[Choice, DevScore] = {}
    shares = TrainingConfig().alphas

    def weights_of(choice: Choice) -> Tensors:
        return interpolate(taken.base, taken.judged[choice[0]].weights, choice[1])

    def unheard(choice: Choice) -> float:
        if choice not in known:
            known[choice] = taken.unheard(weights_of(choice))
        return known[choice]

    def score(choice: Choice) -> DevScore:
        if choice not in scores:
            scores[choice] = taken.score(weights_of(choice))
        return scores[choice]

    best = functools.reduce(latest_unless_worse(taken.before), taken.judged)
    alpha, _, _ = choose_alpha(
        taken.base, best, taken.score, shares, cost=cost_since(taken.before), on_judged=lambda *_: None
    )
    lowest = min(taken.judged, key=lambda one: (one.score.wer, one.score.loss)).step
    choices = {
        OURS: (best.step, alpha),
        PEER: (lowest, 1.0),
        "lowest, shared": min(((lowest, share) for share in sorted(shares)), key=lambda choice: score(choice).wer),
        "lowest loss": (min(taken.judged, key=lambda one: one.score.loss).step, 1.0),
        "last": (len(taken.judged) - 1, 1.0),
    }
    return {
        "before": round(taken.unheard(taken.base), 4),
        **{name: round(unheard(choice), 4) for name, choice in choices.items()},
    }


def report_on(rows: Sequence[dict[str, float]]) -> dict[str, Any]:
    """The line for machines: rates, and ours over the peer's."""
    mean = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    return {
        "name": "selection",
        "ratios": {"lowest_error": round(mean[OURS] / mean[PEER], 3)},
        "wer": {name: round(rate, 4) for name, rate in mean.items()},
        "worst": {name: max(row[name] for row in rows) for name in rows[0]},
        "rounds": list(rows),
        "conditions": {
            "rounds": len(rows),
            "corrections": N_CORRECTIONS,
            "python": platform.python_version(),
            "machine": platform.machine(),
        },
    }


def table_of(report: dict[str, Any]) -> str:
    """For people."""
    lines = ["| weights that are kept | WER %, mean of the rounds | worst round |", "|---|---|---|"]
    for name, rate in report["wer"].items():
        lines.append(f"| {name} | {100 * rate:.1f} | {100 * report['worst'][name]:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
