"""What `projectone-server train` says: how far it is, what was left out, and what came of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from projectone.server.training import TrainingConfig, TrainingProgress, TrainingResult
from projectone.server.training.lora import adapter_size
from projectone.server.training.sequence_guard import SequenceOutcome
from projectone.server.work.progress import ProgressLine
from projectone.speech.json_files import read_json
from projectone.speech.model_files import dimensions_from_config

_METHODS = {"full": "all weights", "lora": "adapters"}


def say_skipped(result: TrainingResult, record: Path) -> None:
    """Name the first clips that were left out; all of them are in `record`."""
    for skipped in result.skipped[:10]:
        print(f"left out {skipped.clip_id}: {skipped.reason}", file=sys.stderr)
    if len(result.skipped) > 10:
        print(f"left out {len(result.skipped) - 10} more (see {record})", file=sys.stderr)


def show_progress(line: ProgressLine, progress: TrainingProgress) -> None:
    """One line: step, loss, rate, dev error, speed, time left."""
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


def say_update_size(base: Path, config: TrainingConfig, line: ProgressLine) -> None:
    """What adapters will cost every device at each release: said before the run, while it can still be changed."""
    dims = dimensions_from_config(read_json(base / "config.json"))
    if config.method_for(dims.n_audio_state) == "lora":
        line.say(f"adapters: {adapter_size(dims, config.lora, config.trainable)}")


def describe_result(result: TrainingResult, places: dict[str, Path]) -> str:
    """The result for people, with the places of what was written."""
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
