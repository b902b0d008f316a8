"""`run.json` of a training run: everything that was put in, everything that came out, and the curves between."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from projectone.server.corpus.manifests import MANIFEST_NAME
from projectone.server.training import TrainingConfig, TrainingResult
from projectone.server.training.environment import environment
from projectone.server.training.log import last_run
from projectone.server.work.train_plot import Curves, Point, training_svg
from projectone.storage.files import digest_of, write_atomically

FORMAT = 1
RECORD_NAME, PLOT_NAME = "run.json", "curves.svg"


@dataclass(frozen=True, kw_only=True)
class RunInputs:
    """What a run was given.

    Attributes:
        base: What the user called the model, and its folder.
        manifests: By use (`data`, `dev`, `replay`): the file, the split that was taken, and how many clips that is.
        n_processes: That shared the steps.
    """

    base: tuple[str, Path]
    manifests: Mapping[str, tuple[Path, str | None, int]]
    n_processes: int = 1


def write_record(
    work_folder: Path, log: Path, inputs: RunInputs, config: TrainingConfig, result: TrainingResult
) -> tuple[Path, Path]:
    """Write `run.json` and the plot into the work folder, which lies beside the model; gives both paths.

    Not into the model's own folder: that is published whole, and devices need not know whose clips were left out.

    Raises:
        StorageError: if the disk refused.
    """
    events = last_run(log)
    record = {
        "format": FORMAT,
        "base": {"name": inputs.base[0], "weights_sha256": digest_of(inputs.base[1] / "model.safetensors")},
        "data": {use: _manifest(*given) for use, given in inputs.manifests.items()},
        "settings": config.to_json(),
        "environment": environment(config.engine),
        "n_processes": inputs.n_processes,
        "result": {k: v for k, v in dataclasses.asdict(result).items() if k != "skipped"},
        "skipped": [dataclasses.asdict(skipped) for skipped in result.skipped],
        "audio_hours_per_hour": _pace(events),
        "curves": {
            "loss": _rows(events, "step", ("step", "loss", "learning_rate", "gradient_norm", "elapsed_s")),
            "dev": _rows(events, "judged", ("step", "wer", "general_wer", "loss")),
            "alpha": _rows(events, "alpha", ("alpha", "wer", "general_wer", "loss")),
            "sequence": _rows(
                events, "sequence_step", ("step", "loss", "learning_rate", "gradient_norm", "drawn_wer", "elapsed_s")
            ),
            "sequence_dev": _rows(events, "sequence_judged", ("step", "wer", "general_wer", "loss")),
            "rollbacks": _rows(events, "rollback", ("failed_step", "back_to", "reason")),
        },
    }
    path, plot = work_folder / RECORD_NAME, work_folder / PLOT_NAME
    write_atomically(path, f"{json.dumps(record, indent=1)}\n".encode())
    write_atomically(plot, training_svg(_curves(record["curves"], result)).encode())
    return path, plot


def _manifest(path: Path, split: str | None, n_clips: int) -> dict[str, Any]:
    file = path / MANIFEST_NAME if path.is_dir() else path
    return {"manifest": str(path), "sha256": digest_of(file), "split": split, "n_clips": n_clips}


def _rows(events: Sequence[Mapping[str, Any]], kind: str, names: Sequence[str]) -> list[dict[str, Any]]:
    return [{name: event[name] for name in names} for event in events if event["event"] == kind]


def _pace(events: Sequence[Mapping[str, Any]]) -> float | None:
    """Hours of audio that an hour of the run goes through, judging included."""
    steps = [event for event in events if event["event"] == "step"]
    if not steps or steps[-1]["elapsed_s"] <= 0:
        return None
    return round(float(sum(step["audio_s"] for step in steps)) / float(steps[-1]["elapsed_s"]), 2)


def _curves(rows: Any, result: TrainingResult) -> Curves:  # noqa: ANN401 - JSON
    def points(kind: str, x: str, y: str) -> list[Point]:
        return [(row[x], row[y]) for row in rows[kind] if row[y] is not None]

    return Curves(
        loss=points("loss", "step", "loss"),
        dev_wer=points("dev", "step", "wer"),
        general_wer=points("dev", "step", "general_wer"),
        alpha_wer=points("alpha", "alpha", "wer"),
        alpha_general_wer=points("alpha", "alpha", "general_wer"),
        chosen_step=result.best_step,
        chosen_alpha=result.alpha,
    )
