"""What a personal list of terms is worth, and what it costs: names that a person corrected, heard again.

Names are spelled by AN4 speakers whom the starter never heard (`peers/spelling.py` says how a name comes to be heard
again). A name that was heard wrong is corrected, and what the correction teaches (`device.vocabulary`) is the list.
Then other recordings of the same names are heard, by the same person and by others: before the correction, right after
it, and after a release that was fine-tuned on the corrections, without and with the list. Harm is looked for in speech
that holds none of the terms: real clips of the same people, digits of a person never heard, sentences that the starter
cannot know; under the corrected list and under 100 and 1,000 terms that nobody says.

    python benchmarks/vocabulary.py [--data DIR] [--quick] [--json] [--no-release] [--tune]

`--tune` compares options on the four speakers that may be watched; all else is measured on the six others.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # read once, when the libraries are loaded

import projectone.server.training  # noqa: E402, F401  # isort: skip
from peers.ears import OPTIONS, Ears  # noqa: E402
from peers.names_again import JUDGED, MOST_TERMS, WATCHED, Material, holds, read_material  # noqa: E402
from peers.spelling import Utterance  # noqa: E402
from peers.turns import take_turns  # noqa: E402

from projectone import __version__  # noqa: E402
from projectone.server.evaluation.bootstrap import Interval, ratio_interval  # noqa: E402
from projectone.server.training import TrainingClip, TrainingConfig, finetune  # noqa: E402
from projectone.speech.biasing import BiasOptions, TermBias  # noqa: E402
from projectone.speech.checkpoint import WhisperCheckpoint, load_checkpoint  # noqa: E402
from projectone.speech.decoding import DecodingOptions, decode_features  # noqa: E402
from projectone.speech.transcribe import GREEDY, transcribe  # noqa: E402
from projectone.speech.wer import word_errors  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
UNGUARDED = BiasOptions(is_guarded=False)
TUNED = {
    "as it is": BiasOptions(),
    "no guard": UNGUARDED,
    "no boost": BiasOptions(boost=0.0),
    "boost 2": BiasOptions(boost=2.0, max_boost=8.0),
    "boost 4": BiasOptions(boost=4.0, max_boost=16.0),
    "boost without a cap": BiasOptions(max_boost=100.0),
    "floor 0.05": BiasOptions(floor=0.05),
    "floor 0.0005": BiasOptions(floor=0.0005),
    "no floor": BiasOptions(floor=0.0),
    "no near terms": BiasOptions(max_near=0),
    "8 near terms": BiasOptions(max_near=8),
    "margin 0.5": BiasOptions(margin=0.5),
    "margin 2": BiasOptions(margin=2.0, max_margin=16.0),
    "margin 4": BiasOptions(margin=4.0, max_margin=32.0),
}
_FEW_SPEAKERS = 5


@dataclass(frozen=True)
class Size:
    """How many corrections, how many clips of other speech, and how long a release trains (None: as the product)."""

    terms: int
    others: int
    release_steps: int | None = None


WHOLE, QUICK = Size(terms=100, others=200), Size(terms=12, others=20, release_steps=4)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="with an4, fsdd, text, ...")
    parser.add_argument("--base", type=Path, default=ROOT / "models" / "starter", help="model folder")
    parser.add_argument("--quick", action="store_true", help="few terms and clips: says nothing about quality")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--tune", action="store_true", help="compare options on the speakers that may be watched")
    parser.add_argument("--no-release", action="store_true", help="leave out what a release brings")
    arguments = parser.parse_args(argv)
    if not (arguments.data / "an4" / "manifest.jsonl").is_file():
        print(json.dumps({"name": "vocabulary", "ratios": {}, "left_out": f"no an4 in {arguments.data.name!r}"}))
        return
    size = QUICK if arguments.quick else WHOLE
    ears = Ears(load_checkpoint(arguments.base))
    people = WATCHED if arguments.tune else JUDGED
    material = read_material(ears, arguments.data, people, n_terms=size.terms, n_others=size.others)
    if arguments.tune:
        for title, options in TUNED.items():
            print(f"{title:20}", json.dumps(tuned(ears, material, options)), flush=True)
        return
    report = measure(ears, material)
    if not arguments.json and not arguments.no_release:
        print(table_of(report), "\n\nwith a release:\n", flush=True)
    if not arguments.no_release:
        with tempfile.TemporaryDirectory() as scratch:
            released = Ears(release(arguments.base, material, size, Path(scratch)))
            report["recall"]["after a release"] = recalls(released, material, OPTIONS)
            report["recall"]["after a release, with the list"] = recalls(
                released, material, released.bias(material.terms)
            )
    if not arguments.json:
        print(table_of(report))
    print(json.dumps(report))


def measure(ears: Ears, material: Material) -> dict[str, Any]:
    """Everything but the release."""
    many = [*material.terms, *material.unsaid][:MOST_TERMS]
    recall = {
        "before": recalls(ears, material, OPTIONS),
        "right after": recalls(ears, material, ears.bias(material.terms)),
        "right after, among 1,000 terms": recalls(ears, material, ears.bias(many)),
        "right after, without the guard": recalls(ears, material, ears.bias(material.terms, UNGUARDED)),
        "the list as a prompt": recalls(ears, material, ears.prompt(material.terms)),
    }
    lists = {
        "the corrected terms": material.terms,
        "100 terms that are not said": material.unsaid[:100],
        "1,000 terms that are not said": material.unsaid,
    }
    harmed = {title: harm(ears, material, terms, ears.bias(terms)) for title, terms in lists.items()}
    unguarded = {title: harm(ears, material, terms, ears.bias(terms, UNGUARDED)) for title, terms in lists.items()}
    prompted = harm(ears, material, material.terms, ears.prompt(material.terms))
    costs = cost(ears, material)
    wrong = {title: 1 - recall[title]["another person"][0] for title in ("before", "right after")}
    return {
        "name": "vocabulary",
        "ratios": {
            "names_wrong_after": round(wrong["right after"] / max(1e-9, wrong["before"]), 3),
            **{f"cpu_{kind}": value for kind, value in costs.items()},
        },
        "recall": recall,
        "harm": {
            **harmed,
            **{f"{title}, without the guard": found for title, found in unguarded.items()},
            "the corrected terms as a prompt": prompted,
        },
        "conditions": {
            "version": __version__,
            "machine": platform.machine(),
            "n_terms": len(material.terms),
            "n_taught": material.n_taught,
            "n_unsaid": len(material.unsaid),
            "n_again": {title: len(clips) for title, clips in material.again.items()},
            "n_others": {title: len(clips) for title, clips in material.others.items()},
            "options": dataclasses.asdict(BiasOptions()),
        },
    }


def recalls(ears: Ears, material: Material, options: DecodingOptions) -> dict[str, list[float]]:
    """Share of the names that are written exactly, with its interval: in the corrected recordings, and in others."""
    found = {}
    for title, clips in {"corrected recording": material.corrected, **material.again}.items():
        hits = [float(text == clip.text) for clip, text in zip(clips, ears.texts(clips, options), strict=True)]
        found[title] = shown(ratio_interval(hits, [1.0] * len(hits), [clip.speaker for clip in clips]))
    return found


def harm(ears: Ears, material: Material, terms: Sequence[str], options: DecodingOptions) -> dict[str, dict[str, Any]]:
    """Speech without any of the terms: how many more words are wrong, and how many terms appear."""
    found = {}
    for title, clips in material.others.items():
        before, after = ears.texts(clips), ears.texts(clips, options)
        wrong = [_errors(clips, before), _errors(clips, after)]
        words, speakers = [len(clip.text.split()) for clip in clips], [clip.speaker for clip in clips]
        more = [float(b - a) for a, b in zip(*wrong, strict=True)]
        is_few = len(set(speakers)) < _FEW_SPEAKERS
        found[title] = {
            "wer_before": round(sum(wrong[0]) / sum(words), 4),
            "wer_more": shown(ratio_interval(more, words, speakers, are_speakers_fixed=is_few)),
            "false_insertions": sum(_brings(terms, a, b) for a, b in zip(before, after, strict=True)),
            "n_clips": len(clips),
        }
    return found


def tuned(ears: Ears, material: Material, options: BiasOptions) -> dict[str, Any]:
    """One row of `--tune`: recall, and harm under 1,000 terms that are not said."""
    harmed = harm(ears, material, material.unsaid, ears.bias(material.unsaid, options))
    return {
        "recall": {
            title: value[0] for title, value in recalls(ears, material, ears.bias(material.terms, options)).items()
        },
        "false": [row["false_insertions"] for row in harmed.values()],
        "wer_more": [row["wer_more"][0] for row in harmed.values()],
    }


def cost(ears: Ears, material: Material) -> dict[str, float]:
    """CPU seconds over those without a list.

    `steps`: the decoder alone, the same tokens, with 1,000 terms. Whole recordings, one by one, with the guard: under a
    list that is as much like what is said as can be.
    """
    clips = next(iter(material.others.values()))[:16]
    features, biased = ears.features(clips), ears.bias(material.unsaid)
    plain = replace(OPTIONS, bias=None)

    def whole(n_terms: int) -> Callable[[], object]:
        terms = TermBias(material.unsaid[:n_terms], ears.checkpoint.tokenizer) if n_terms else None
        options = replace(GREEDY, language="en", bias=terms)
        return lambda: [transcribe(ears.checkpoint, clip.samples, options=options) for clip in clips]

    steps = take_turns(
        {
            "without": lambda: decode_features(ears.checkpoint, features, plain),
            "with": lambda: decode_features(ears.checkpoint, features, biased),
        },
        n_runs=7,
    )
    wholes = take_turns({f"{n}": whole(n) for n in (0, 100, MOST_TERMS)}, n_runs=3)
    return {
        "1000_terms_steps": round(steps["with"] / steps["without"], 3),
        "100_terms_whole": round(wholes["100"] / wholes["0"], 3),
        "1000_terms_whole": round(wholes["1000"] / wholes["0"], 3),
    }


def release(base: Path, material: Material, size: Size, folder: Path) -> WhisperCheckpoint:
    """The model after a release that learned from the corrections, as the product trains it."""
    clips = [
        TrainingClip(f"{index:032x}", clip.samples, clip.text, clip.speaker)
        for index, clip in enumerate(material.corrected)
    ]
    config = TrainingConfig(seed=0, max_steps=size.release_steps)
    finetune(base, clips, config, work_folder=folder / "work", out=folder / "tuned", replay_clips=material.replay)
    return load_checkpoint(folder / "tuned")


def table_of(report: dict[str, Any]) -> str:
    """The figures for people, in Markdown."""
    conditions = report["conditions"]
    titles = list(report["recall"]["before"])
    lines = [
        f"| names written right (a list of {conditions['n_terms']}, {conditions['n_taught']} taught) | "
        + " | ".join(titles)
        + " |"
    ]
    lines.append("|---" * (len(titles) + 1) + "|")
    for row, found in report["recall"].items():
        lines.append(f"| {row} | " + " | ".join(_percent(found[title]) for title in titles) + " |")
    kinds = list(conditions["n_others"])
    lines += ["", "| list | " + " | ".join(f"{kind} ({conditions['n_others'][kind]} clips)" for kind in kinds) + " |"]
    lines.append("|---" * (len(kinds) + 1) + "|")
    for row, found in report["harm"].items():
        cells = [f"{_percent(found[kind]['wer_more'], sign='+')}; {found[kind]['false_insertions']}" for kind in kinds]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", json.dumps(report["ratios"])])


def shown(interval: Interval) -> list[float]:
    return [round(value, 4) for value in (interval.value, interval.low, interval.high)]


def _errors(clips: Sequence[Utterance], texts: Sequence[str]) -> list[int]:
    return [word_errors(clip.text, text).errors for clip, text in zip(clips, texts, strict=True)]


def _brings(terms: Sequence[str], before: str, after: str) -> bool:
    """Whether a term is written that nobody said, and that was not written before."""
    return after != before and any(holds(after, term) and not holds(before, term) for term in terms)


def _percent(values: Sequence[float], *, sign: str = "") -> str:
    value, low, high = (f"{100 * part:{sign}.1f}" for part in values)
    return f"{value} % ({low} to {high})"


if __name__ == "__main__":
    main()
