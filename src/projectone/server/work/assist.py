"""`projectone-server assist`: teach a small classifier from examples, and judge one."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from projectone.assist.calibration import interval
from projectone.assist.classifiers import Head, judge_rows, load_classifier, save_classifier
from projectone.assist.encoder.bert_files import TOKENIZER, read_bert
from projectone.assist.encoder.wordpiece import whole_words
from projectone.assist.noise import RecognitionNoise
from projectone.assist.safety import SafetyGuard
from projectone.errors import DataError, SettingsError, TrainingError
from projectone.server.evaluation.intents.golden_texts import read_lessons, read_rows
from projectone.server.settings import ServerSettings
from projectone.server.training.classifiers import ClassifierConfig, Example, teach_classifier
from projectone.server.work.encoders import MINILM, resolve_encoder
from projectone.server.work.progress import ProgressLine

SUMMARY = "Small classifiers for the device: `train` one from a few examples of each intent, `judge` one."
EXAMPLES = """\
  projectone-server assist train --data intents.jsonl --out out/intents
  projectone-server assist train --data intents.jsonl --development more.jsonl --out out/small --bits 8
  projectone-server assist judge --model out/intents --data other.jsonl --noise 0.15 --json
  projectone-server assist train --data comments.jsonl --alarm toxic --out out/safety

  A line of the data: {"text": "how warm is it", "label": "weather"}; with "label": null it is none of the intents.
  Lines with "split": "dev" are not learned from: they are measured on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the two actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    training = actions.add_parser("train", help="teach a classifier, and measure when it should say none of these")
    training.add_argument("--data", required=True, type=Path, metavar="FILE", help="JSON lines: text, label")
    training.add_argument("--out", required=True, type=Path, metavar="DIR", help="a folder that does not exist yet")
    training.add_argument(
        "--development", type=Path, metavar="FILE", help="to measure on; else a fifth of the examples is held out"
    )
    training.add_argument(
        "--encoder",
        type=Path,
        metavar="DIR",
        help="a BERT as Hugging Face keeps one (default: MiniLM, from its package)",
    )
    training.add_argument(
        "--epochs", type=int, default=ClassifierConfig.max_epochs, help="at most (default %(default)s)"
    )
    training.add_argument("--seed", type=int, default=0, help="of the order (default 0)")
    training.add_argument("--bits", type=int, choices=(32, 8), default=32, help="of a weight on disk (default 32)")
    training.add_argument(
        "--noised-share",
        type=float,
        default=ClassifierConfig.noised_share,
        metavar="SHARE",
        help="of the examples that are shown with recognition errors (default %(default)s; 0 for none)",
    )
    training.add_argument("--alarm", metavar="LABEL", help="warn of this label, as a safety classifier does")
    training.add_argument(
        "--false-alarms",
        type=float,
        default=ClassifierConfig.most_false_alarms,
        metavar="SHARE",
        help="of the texts without that label that may raise the alarm (default %(default)s)",
    )
    training.add_argument(
        "--resume", action="store_true", help="go on with a teaching that was ended; its epochs are in OUT.teaching"
    )
    judging = actions.add_parser("judge", help="accuracy, calibration error and out-of-scope recall")
    judging.add_argument("--model", required=True, type=Path, metavar="DIR", help="what `train` wrote")
    judging.add_argument("--data", required=True, type=Path, metavar="FILE", help="JSON lines: text, label")
    judging.add_argument(
        "--noise", type=float, default=0.0, metavar="RATE", help="judge the texts with this word error rate"
    )
    judging.add_argument(
        "--numerics", choices=("float32", "int8"), default="float32", help="what is computed in (default float32)"
    )
    for action in (training, judging):
        action.add_argument("--json", action="store_true", help="print one JSON object")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Train or judge."""
    facts = _train(arguments) if arguments.action == "train" else _judge(arguments)
    print(json.dumps(facts) if arguments.json else _describe(facts))
    return 0


def read_examples(path: Path) -> list[Example]:
    """Texts with their labels, None where a text has none of them.

    Raises:
        DataError: naming the line that is not one.
    """
    rows: list[Example] = [(row["text"], row["label"]) for _, row in read_rows(path)]
    if not any(label is not None for _, label in rows):
        raise DataError("empty", f"{path.name}: expected lines with a label, got none")
    return rows


def _train(arguments: argparse.Namespace) -> dict[str, object]:
    teaching = arguments.out.parent / f"{arguments.out.name}.teaching"
    _check_places(arguments, teaching)
    config = _config(arguments)
    examples, held_out = read_lessons(arguments.data)
    if not any(label is not None for _, label in examples):
        raise DataError("empty", f"{arguments.data.name}: expected lines with a label to learn from, got none")
    if arguments.out.exists():  # it was ended between the last file and the last word
        shutil.rmtree(teaching, ignore_errors=True)
        return _facts(arguments.out, load_classifier(arguments.out).head, len(examples))
    development = [*held_out, *(read_examples(arguments.development) if arguments.development else ())]
    base = read_bert(arguments.encoder or resolve_encoder(MINILM))
    line = ProgressLine(sys.stderr)
    try:
        taught = teach_classifier(
            base,
            examples,
            development=development,
            config=config,
            on_progress=lambda n_done, n_all, loss: line.show(
                f"step {n_done}/{n_all}, loss {loss:.3f}", is_last=n_done == n_all
            ),
            work_folder=teaching,
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted; whole epochs are kept in {teaching.name}, the same command with --resume goes on"
        ) from None
    except TrainingError as error:
        raise TrainingError(f"{arguments.data.name}: {error}") from error
    save_classifier(arguments.out, taught.encoder, taught.head, bits=arguments.bits)
    shutil.rmtree(teaching, ignore_errors=True)
    return _facts(arguments.out, taught.head, len(examples))


def _check_places(arguments: argparse.Namespace, teaching: Path) -> None:
    if arguments.resume:
        return
    if arguments.out.exists():
        raise SettingsError(f"--out: {arguments.out} exists already; name a new folder")
    if teaching.exists():
        raise SettingsError(
            f"--out: {teaching.name} holds a teaching that was begun; give --resume to go on with it, or remove it"
        )


def _facts(out: Path, head: Head, n_examples: int) -> dict[str, object]:
    return {
        "out": str(out),
        "n_labels": len(head.labels),
        "n_examples": n_examples,
        "size_bytes": sum(path.stat().st_size for path in out.iterdir()),
        **head.measured,
    } | ({"alarm": asdict(head.alarm)} if head.alarm else {})


def _judge(arguments: argparse.Namespace) -> dict[str, object]:
    rows = read_examples(arguments.data)
    classifier = load_classifier(arguments.model, numerics=arguments.numerics)
    strangers = sorted({label for _, label in rows if label is not None} - set(classifier.head.labels))
    if strangers:
        raise DataError("unknown-label", f"{arguments.data.name}: the classifier has no label {strangers[0]!r}")
    if not 0 <= arguments.noise <= 1:
        raise SettingsError(f"--noise: expected a word error rate within 0 and 1, got {arguments.noise}")
    texts = [text for text, _ in rows]
    if arguments.noise:
        noise = RecognitionNoise(whole_words((arguments.model / TOKENIZER).read_bytes()))
        texts = [noise.distort(text, rate=arguments.noise, seed=0) for text in texts]
    facts: dict[str, object] = {
        "model": str(arguments.model),
        "n_labels": len(classifier.head.labels),
        "noise": arguments.noise,
        **asdict(judge_rows(classifier.classify(texts), [label for _, label in rows])),
    }
    if classifier.head.alarm is not None:
        facts["alarm"] = _alarm(SafetyGuard(classifier), texts, [label for _, label in rows])
    return facts


def _alarm(guard: SafetyGuard, texts: list[str], labels: list[str | None]) -> dict[str, object]:
    flagged = [made.is_flagged for made in guard.judge(texts)]
    of_bad = [raised for raised, label in zip(flagged, labels, strict=True) if label == guard.alarm.label]
    of_good = [raised for raised, label in zip(flagged, labels, strict=True) if label != guard.alarm.label]
    return {
        "label": guard.alarm.label,
        "recall": sum(of_bad) / len(of_bad) if of_bad else None,
        "recall_between": interval(sum(of_bad), len(of_bad)),
        "false_alarm_rate": sum(of_good) / len(of_good) if of_good else None,
        "false_alarms_between": interval(sum(of_good), len(of_good)),
        "n_with": len(of_bad),
        "n_without": len(of_good),
    }


def _config(arguments: argparse.Namespace) -> ClassifierConfig:
    if not 0 <= arguments.epochs <= 100:
        raise SettingsError(f"--epochs: expected 0 to 100, got {arguments.epochs}")
    for option in ("noised_share", "false_alarms"):
        if not 0 <= (share := getattr(arguments, option)) < 1:
            raise SettingsError(f"--{option.replace('_', '-')}: expected a share from 0 to below 1, got {share}")
    return ClassifierConfig(
        max_epochs=arguments.epochs,
        noised_share=arguments.noised_share,
        alarm_label=arguments.alarm,
        most_false_alarms=arguments.false_alarms,
        seed=arguments.seed,
    )


def _describe(facts: dict[str, object]) -> str:
    recall, error = facts["out_of_scope_recall"], facts["calibration_error"]
    measured = [
        f"labels        {facts['n_labels']}",
        f"accuracy      {_percent(facts['accuracy'])} over {facts['n_in_scope']} texts with a label",
        f"answered      {_percent(facts['answered_accuracy'])} rightly, the others wrongly or as none of these",
        f"none of these {_percent(recall)} of {facts['n_out_of_scope']} texts without a label were called so"
        if recall is not None
        else "none of these no text without a label to measure on",
        f"calibration   {_percent(error)} off on average" if error is not None else "calibration   too few texts",
    ]
    if isinstance(alarm := facts.get("alarm"), dict):
        measured.append(
            f"alarm         {_percent(alarm['recall'])} of {alarm['n_with']} texts labelled {alarm['label']!r} "
            f"raised it, and {_percent(alarm['false_alarm_rate'])} of {alarm['n_without']} others"
        )
    if "out" in facts:
        size = facts["size_bytes"]
        measured.append(f"written       {facts['out']}, {size / 1e6 if isinstance(size, int) else 0:.1f} MB")
    return "\n".join(measured)


def _percent(share: object) -> str:
    return f"{100 * share:.1f} %" if isinstance(share, float) else "-"
