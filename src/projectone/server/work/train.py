"""`projectone-server train`: fine-tune any Whisper checkpoint on any manifest."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from projectone.errors import DataError, EvaluationError, LostProcessError, SettingsError
from projectone.server.corpus.manifests import read_manifest
from projectone.server.evaluation.triage import TriageConfig
from projectone.server.settings import ServerSettings
from projectone.server.training import TrainingClip, TrainingConfig, TrainingProgress, TrainingResult, finetune
from projectone.server.training.carriers import Correction
from projectone.server.training.config import LoraConfig, RolloutConfig
from projectone.server.training.engines.choice import find_steps
from projectone.server.training.engines.run import LOG_NAME, adapter_folder
from projectone.server.training.examples import Skipped
from projectone.server.training.parallel import ProcessGroup
from projectone.server.training.sequence_guard import SequenceOutcome
from projectone.server.work.carriers import carriers_for
from projectone.server.work.clips import open_decoder, training_clips
from projectone.server.work.processes import EXIT_LEFT, join_run, run_processes
from projectone.server.work.progress import ProgressLine
from projectone.server.work.references import PRODUCTION, resolve_model
from projectone.server.work.train_record import RunInputs, write_record
from projectone.server.work.triage import NewClip, triage_clips
from projectone.storage.files import sweep_builds
from projectone.storage.locks import exclusive_lock

SUMMARY = (
    "Fine-tune a Whisper model on any manifest of speech. Beside the model lies OUT.training with the log, run.json "
    "(data, settings, versions, curves) and curves.svg; adapters are kept in OUT.adapter. Ctrl-C saves; the same "
    "command with --resume goes on."
)
EXAMPLES = """  projectone-server train --base starter --data speech/manifest.jsonl --out models/mine
  projectone-server train --base openai/whisper-tiny --data speech --split train --dev speech --dev-split dev \\
      --out models/mine --epochs 3 --learning-rate 1e-5 --context full
  projectone-server train --base openai/whisper-small --data speech --method lora --trainable decoder --out models/mine
  projectone-server train --base openai/whisper-tiny --data speech --out models/mine --processes 2
  projectone-server train --base openai/whisper-small --data speech --out models/mine --resume"""

EXIT_NO_TRAIN = 3
_LOCK = "lock"

# Command-line options that are fields of `TrainingConfig`, with what they are.
_KNOBS: dict[str, tuple[type, str]] = {
    "epochs": (int, "passes over the clips"),
    "max_steps": (int, "stop after this many steps"),
    "learning_rate": (float, "highest learning rate; by the model's width if not given"),
    "batch_seconds": (float, "most seconds of audio in one step"),
    "batch_size": (int, "most clips in one step"),
    "dev_share": (float, "share of the clips held back to choose the checkpoint"),
    "checkpoint_every_steps": (int, "steps that a crash can cost"),
    "language": (str, "language of the texts"),
    "encoded_epochs": (int, "with --trainable decoder: epochs that the encoder is run for; later ones repeat them"),
    "negatives_share": (float, "share of clips without speech; by the model if not given"),
    "prompt_share": (float, "share of windows after a prompt of what was said before; by the model if not given"),
    "carriers_per_term": (int, "synthetic sentences for every word in `text` that is not in `heard`; needs [voices]"),
    "seed": (int, "decides order, held-back clips and augmentation"),
}
_CHOICES = ("engine", "precision", "method", "trainable", "context", "packing", "sequence")
_METHODS = {"full": "all weights", "lora": "adapters"}
_LORA_KNOBS: dict[str, tuple[type, str]] = {
    "rank": (int, f"rank of the adapters (default {LoraConfig().rank})"),
    "alpha": (float, "alpha of the adapters, the rank times a power of two (default: twice the rank)"),
    "dropout": (float, "share of the adapters' inputs left out in a step (default 0)"),
}

_ROLLOUT_KNOBS: dict[str, tuple[type, str]] = {
    "n_hypotheses": (int, "drawn for every clip in every step"),
    "temperature": (float, "of the sampling"),
    "epochs": (int, "passes over the clips"),
    "max_steps": (int, "stop after this many steps"),
    "rate_share": (float, "highest learning rate, as a share of the first stage's"),
    "kl": (float, "with grpo: weight of the divergence from the weights it begins with"),
    "cross_entropy": (float, "weight of the first stage's loss beside the second's"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own options."""
    base = parser.add_mutually_exclusive_group(required=True)
    base.add_argument("--base", help="folder, `starter`, `production`, or owner/name[@revision] on the Hub")
    base.add_argument(
        "--from-production",
        action="store_const",
        const=PRODUCTION,
        dest="base",
        help="go on from the model in production instead of a fixed base (docs/adr/0001 says what that costs)",
    )
    parser.add_argument("--data", required=True, type=Path, help="manifest.jsonl (or its folder): audio, text, speaker")
    parser.add_argument(
        "--out", required=True, type=Path, help="folder to make; the log goes to OUT.training beside it"
    )
    parser.add_argument("--split", help="only rows of --data with this `split`")
    parser.add_argument("--dev", type=Path, help="manifest to choose the checkpoint by; else a share is held back")
    parser.add_argument("--dev-split", help="only rows of --dev with this `split`")
    parser.add_argument("--replay", type=Path, help="manifest of general speech that is mixed in, against forgetting")
    defaults = TrainingConfig()
    for name, (kind, what) in _KNOBS.items():
        default = getattr(defaults, name)
        shown = "" if default is None else f" (default {default})"
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=what + shown)
    parser.add_argument(
        "--engine",
        choices=("mlx", "transformers"),
        help="library that takes the steps: mlx (default), or transformers and peft on torch, on CUDA where there is "
        "one; needs [torch]",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        help="with --engine transformers: numbers it multiplies in (default float32); bfloat16 for GPUs",
    )
    parser.add_argument(
        "--method", choices=("auto", "full", "lora"), help="all weights, or adapters; auto (default): by the size"
    )
    for name, (kind, what) in _LORA_KNOBS.items():
        parser.add_argument(f"--lora-{name}", type=kind, help=what)
    parser.add_argument(
        "--lora-targets", choices=("query_value", "attention", "attention_mlp"), help="layers (default query_value)"
    )
    parser.add_argument("--trainable", choices=("all", "decoder"), help="the whole model (default), or its decoder")
    parser.add_argument("--context", choices=("short", "full"), help="pad to the clips (default), or to whole windows")
    parser.add_argument(
        "--packing",
        choices=("auto", "on", "off"),
        help="several clips in one window; auto (default): with --context full",
    )
    parser.add_argument(
        "--sequence",
        choices=("off", "mwer", "grpo"),
        help="a second stage on what the model writes itself, kept only if nothing is lost by it (default off)",
    )
    for name, (kind, what) in _ROLLOUT_KNOBS.items():
        default = getattr(RolloutConfig(), name)
        shown = "" if default is None else f" (default {default})"
        parser.add_argument(f"--sequence-{name.replace('_', '-')}", type=kind, help=what + shown)
    parser.add_argument(
        "--only-if-useful",
        action="store_true",
        help=f"train nothing if the clips have nothing to teach the base (exit code {EXIT_NO_TRAIN}); else it is said",
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=1,
        help="of this machine that share every step (default 1); a step stays as large as --batch-seconds and "
        "--batch-size say. For several machines start this command with mlx.launch (docs/architecture.md)",
    )
    parser.add_argument("--process", help=argparse.SUPPRESS)  # of `run_processes`
    parser.add_argument("--resume", action="store_true", help="go on with the run that OUT.training holds")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Train, or go on; print the result."""
    config = _config(arguments)
    _check_engine(config, arguments.processes)
    if arguments.processes > 1 and arguments.process is None:
        return run_processes([sys.executable, "-m", "projectone.server.cli", *arguments.words], arguments.processes)
    group = join_run(arguments.process)
    _check_engine(config, group.size)
    try:
        return _train(arguments, settings, config, group)
    except LostProcessError:
        if group.is_first:
            raise
        return EXIT_LEFT  # one voice is enough


def _train(arguments: argparse.Namespace, settings: ServerSettings, config: TrainingConfig, group: ProcessGroup) -> int:
    out: Path = arguments.out.absolute()
    work_folder = out.parent / f"{out.name}.training"
    is_begun = group.decide(lambda: _check_places(out, work_folder, arguments))
    base = resolve_model(arguments.base, settings)
    line = ProgressLine(sys.stderr if group.is_first else io.StringIO())
    line.say("reading clips")
    clips, dev, replay, corrections, wordless = _read(arguments)
    carriers = carriers_for(corrections, config)
    # An interrupted run was found worth its while when it began.
    if not is_begun and not group.decide(lambda: _is_worth_training(base, clips, config, line, arguments)):
        return EXIT_NO_TRAIN
    try:
        with _alone(out, work_folder) if group.is_first else contextlib.nullcontext():
            result = finetune(
                base,
                clips,
                config,
                work_folder=work_folder,
                out=out,
                on_progress=lambda progress: _show(line, progress),
                dev_clips=dev,
                replay_clips=replay,
                carrier_clips=carriers,
                group=group,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted; what was done is saved in {arguments.out}.training, the same command with --resume goes on"
        ) from None
    if not group.is_first:
        return 0
    result = dataclasses.replace(result, skipped=(*wordless, *result.skipped))
    inputs = _inputs(arguments, base, clips, dev, replay, group.size)
    record, plot = write_record(work_folder, work_folder / LOG_NAME, inputs, config, result)
    _say_skipped(result, record)
    places = {"out": arguments.out, "log": work_folder / LOG_NAME, "run": record, "plot": plot}
    if result.method == "lora":
        places["adapter"] = adapter_folder(out)
    if arguments.json:
        print(json.dumps({**{k: str(v) for k, v in places.items()}, **dataclasses.asdict(result)}))
    else:
        print(_describe(result, places))
    return 0


def _check_engine(config: TrainingConfig, n_processes: int) -> None:
    """Before anything is read: its libraries are there, and it knows how to share."""
    if n_processes < 1:
        raise SettingsError(f"--processes: expected 1 or more, got {n_processes}")
    if n_processes > 1 and config.engine != "mlx":
        raise SettingsError(f"--engine {config.engine}: runs in one process; --processes 1, or the engine mlx")
    find_steps(config.engine)


@contextlib.contextmanager
def _alone(out: Path, work_folder: Path) -> Iterator[None]:
    """Nobody else trains in these folders; what a run that was killed left half made beside them is gone."""
    with exclusive_lock(work_folder / _LOCK, what=f"training into {out.name!r}"):
        for target in (out, adapter_folder(out)):
            sweep_builds(target)
        yield


def _check_places(out: Path, work_folder: Path, arguments: argparse.Namespace) -> bool:
    """Whether the run was begun earlier.

    Raises:
        SettingsError: before anything is read, if what lies there is not to be gone on with.
    """
    if out.name in ("", ".."):
        raise SettingsError(f"--out {arguments.out}: expected the name of a folder to make")
    above = next(folder for folder in out.parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK) or work_folder.is_file():
        place = work_folder if work_folder.is_file() else above
        raise SettingsError(f"--out {arguments.out}: no folder can be made in {str(place)!r}; name another one")
    is_begun = work_folder.is_dir() and any(path.name != _LOCK for path in work_folder.iterdir())
    for path in (out, adapter_folder(out)):
        if path.exists() and not is_begun:
            raise SettingsError(f"--out {arguments.out}: {path.name} exists already; name a new folder")
    if is_begun and not arguments.resume:
        raise SettingsError(
            f"--out {arguments.out}: {work_folder.name} holds a run that was begun; give --resume to go on with it, "
            "remove that folder to begin again, or name a new one"
        )
    return is_begun


def _inputs(
    arguments: argparse.Namespace,
    base: Path,
    clips: Sequence[TrainingClip],
    dev: Sequence[TrainingClip] | None,
    replay: Sequence[TrainingClip],
    n_processes: int,
) -> RunInputs:
    manifests = {"data": (arguments.data, arguments.split, len(clips))}
    if dev is not None:
        manifests["dev"] = (arguments.dev, arguments.dev_split, len(dev))
    if replay:
        manifests["replay"] = (arguments.replay, None, len(replay))
    return RunInputs(base=(arguments.base, base), manifests=manifests, n_processes=n_processes)


def _say_skipped(result: TrainingResult, record: Path) -> None:
    for skipped in result.skipped[:10]:
        print(f"left out {skipped.clip_id}: {skipped.reason}", file=sys.stderr)
    if len(result.skipped) > 10:
        print(f"left out {len(result.skipped) - 10} more (see {record})", file=sys.stderr)


def _is_worth_training(
    base: Path, clips: Sequence[TrainingClip], config: TrainingConfig, line: ProgressLine, arguments: argparse.Namespace
) -> bool:
    """Print what the clips can teach the base; whether to train: a person who asks for it gets it, warned."""
    try:
        found = triage_clips(
            base,
            [NewClip.of(clip) for clip in clips],
            # Whoever owns the manifest may read its words.
            config=TriageConfig(min_term_speakers=1, min_minutes=0.0, seed=config.seed),
            language=config.language,
            on_progress=lambda n_done, n_clips: line.show(f"triage: the base has heard {n_done}/{n_clips} clips"),
        )
    except EvaluationError:
        return True  # what is wrong with the clips or the language is the training's to say
    line.say(f"triage: {found.decision}: {found.summary()}")
    for text in (*found.reasons, *(f"proposal: {proposal}" for proposal in found.proposals)):
        line.say(f"  {text}")
    if found.is_worth_training or not arguments.only_if_useful:
        return True
    if arguments.json:
        print(json.dumps({"out": None, "verdict": found.verdict().model_dump(mode="json"), "triage": found.to_json()}))
    else:
        print("no-train   nothing was trained (without --only-if-useful it would be)")
    return False


def _config(arguments: argparse.Namespace) -> TrainingConfig:
    given = {name: getattr(arguments, name) for name in (*_KNOBS, *_CHOICES)}
    try:
        known = {name: value for name, value in given.items() if value is not None}
        return TrainingConfig(**known, lora=_lora(arguments), rollouts=_rollouts(arguments))
    except ValueError as error:
        name, colon, problem = str(error).partition(":")
        raise SettingsError(f"--{name.replace('_', '-')}{colon}{problem}") from error


def _lora(arguments: argparse.Namespace) -> LoraConfig:
    given = {name: getattr(arguments, f"lora_{name}") for name in (*_LORA_KNOBS, "targets")}
    known = {name: value for name, value in given.items() if value is not None}
    if known and arguments.method != "lora":
        raise SettingsError(f"--lora-{next(iter(known))}: only with --method lora")
    if "rank" in known:
        known.setdefault("alpha", 2.0 * known["rank"])
    try:
        return LoraConfig(**known)
    except ValueError as error:
        # What is wrong with their ratio does not begin with a name.
        problem = str(error).replace("lora: ", "alpha: ", 1).removeprefix("lora ")
        raise SettingsError(f"--lora-{problem}") from error


def _rollouts(arguments: argparse.Namespace) -> RolloutConfig:
    given = {name: getattr(arguments, f"sequence_{name}") for name in _ROLLOUT_KNOBS}
    known = {name: value for name, value in given.items() if value is not None}
    if known and arguments.sequence not in ("mwer", "grpo"):
        name = next(iter(known)).replace("_", "-")
        raise SettingsError(f"--sequence-{name}: only with --sequence mwer or grpo")
    try:
        return RolloutConfig(**known)
    except ValueError as error:
        raise SettingsError(f"--sequence-{str(error).replace('_', '-', 1)}") from error


def _read(
    arguments: argparse.Namespace,
) -> tuple[list[TrainingClip], list[TrainingClip] | None, list[TrainingClip], list[Correction], list[Skipped]]:
    if arguments.dev_split and not arguments.dev:
        raise SettingsError("--dev-split: only with --dev")
    rows = read_manifest(arguments.data, split=arguments.split)
    if not any(row.text for row in rows):
        raise DataError("text-empty", f"--data {arguments.data}: expected clips with a text, got {len(rows)} without")
    dev_rows = read_manifest(arguments.dev, split=arguments.dev_split) if arguments.dev else None
    replay_rows = read_manifest(arguments.replay) if arguments.replay else []
    corrections = [Correction(row.heard, row.text) for row in rows if row.heard and row.text]
    wordless = [Skipped(row.clip_id, "no text") for row in (*rows, *(dev_rows or ()), *replay_rows) if not row.text]
    with open_decoder() as decode:
        dev = None if dev_rows is None else training_clips(dev_rows, decode)
        return training_clips(rows, decode), dev, training_clips(replay_rows, decode), corrections, wordless


def _show(line: ProgressLine, progress: TrainingProgress) -> None:
    parts = [f"{progress.phase:11} step {progress.step}/{progress.n_steps} epoch {progress.epoch}/{progress.n_epochs}"]
    shown: list[tuple[Any, str]] = [
        (progress.loss, "loss {:.3f}"),
        (progress.learning_rate, "rate {:.1e}"),
        (progress.dev_wer, "dev WER {:.1%}"),
        (progress.speed, "{:.0f} h of audio/h"),
        (progress.eta_s, "{:.0f} s left"),
    ]
    parts += [form.format(value) for value, form in shown if value is not None]
    text = "  ".join(parts)
    if progress.phase in ("train", "sequence"):
        line.show(text)
    else:
        line.say(text)


def _describe(result: TrainingResult, places: dict[str, Path]) -> str:
    lines = [
        f"model     {places['out']} (sha256 {result.weights_sha256[:12]})",
        f"trained   {_METHODS[result.method]}, {result.n_steps} steps on {result.n_clips} clips "
        f"({result.audio_s:.0f} s) in {result.wall_s:.0f} s",
    ]
    if result.dev_wer_before is not None and result.dev_wer_after is not None:
        apart = {"speakers": "other speakers", "clips": "the same speakers", "given": "as given"}[result.dev_split]
        lines.append(
            f"held back {result.n_dev_clips} clips ({apart}): WER {result.dev_wer_before:.1%} -> "
            f"{result.dev_wer_after:.1%} at step {result.best_step}, {result.alpha:.0%} of the way from the base"
        )
    else:
        lines.append("held back nothing: too few clips; the last weights were taken")
    if result.sequence is not None:
        lines.append(_describe_sequence(result.sequence))
    lines += [f"{name:9} {places[name]}" for name in ("adapter", "run", "plot", "log") if name in places]
    return "\n".join(lines)


def _describe_sequence(found: SequenceOutcome) -> str:
    words = "kept" if found.is_kept else "put aside"
    rates = ""
    if found.before is not None and found.after is not None:
        rates = f", WER {found.before.wer:.1%} -> {found.after.wer:.1%}"
    return f"sequence  {found.loss}, {found.n_steps} steps: {words}{rates} ({found.reason})"
