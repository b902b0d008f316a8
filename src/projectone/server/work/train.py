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

from projectone.errors import DataError, EvaluationError, LostProcessError, SettingsError
from projectone.server.corpus.manifests import read_manifest
from projectone.server.evaluation.triage import TriageConfig
from projectone.server.settings import ServerSettings
from projectone.server.training import TrainingClip, TrainingConfig, finetune
from projectone.server.training.carriers import Correction
from projectone.server.training.engines.choice import find_steps
from projectone.server.training.engines.run import LOG_NAME, adapter_folder
from projectone.server.training.examples import Skipped
from projectone.server.training.parallel import ProcessGroup
from projectone.server.work.carriers import carriers_for
from projectone.server.work.clips import open_decoder, training_clips
from projectone.server.work.processes import EXIT_LEFT, join_run, run_processes
from projectone.server.work.progress import ProgressLine
from projectone.server.work.references import resolve_model
from projectone.server.work.train_options import EXIT_NO_TRAIN, add_arguments, config_of
from projectone.server.work.train_record import RunInputs, write_record
from projectone.server.work.train_report import describe_result, say_skipped, say_update_size, show_progress
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

__all__ = ["EXAMPLES", "EXIT_NO_TRAIN", "SUMMARY", "add_arguments", "execute"]

_LOCK = "lock"


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Train, or go on; print the result."""
    config = config_of(arguments)
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
    say_update_size(base, config, line)
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
                on_progress=lambda progress: show_progress(line, progress),
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
    say_skipped(result, record)
    places = {"out": arguments.out, "log": work_folder / LOG_NAME, "run": record, "plot": plot}
    if result.method == "lora":
        places["adapter"] = adapter_folder(out)
    if arguments.json:
        print(json.dumps({**{k: str(v) for k, v in places.items()}, **dataclasses.asdict(result)}))
    else:
        print(describe_result(result, places))
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
