"""Which engine a run asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from projectone.errors import TrainingError
from projectone.server.training.config import EngineName, TrainingConfig
from projectone.server.training.engines import mlx
from projectone.server.training.engines.protocol import Engine, TrainingProgress, TrainingResult
from projectone.server.training.examples import TrainingClip

_EXTRA = ("torch", "transformers", "peft")


def find_engine(name: EngineName) -> Engine:
    """The engine of this name. Nobody who trains in MLX waits for torch to load.

    Raises:
        TrainingError: saying how to install it, if its libraries are not there.
    """
    if name == "mlx":
        return mlx.finetune
    try:
        from projectone.server.training.engines import transformers
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRA:
            raise
        raise TrainingError(
            f"the engine transformers needs torch, transformers and peft, and there is no {error.name}: "
            "install projectone[torch]"
        ) from error
    return transformers.finetune


def finetune(
    base: Path,
    clips: Sequence[TrainingClip],
    config: TrainingConfig,
    *,
    work_folder: Path,
    out: Path,
    on_progress: Callable[[TrainingProgress], None] | None = None,
    dev_clips: Sequence[TrainingClip] | None = None,
    replay_clips: Sequence[TrainingClip] = (),
    carrier_clips: Sequence[TrainingClip] = (),
) -> TrainingResult:
    """Fine-tune with the engine that the config names; see `Engine` for arguments and errors.

    Raises:
        TrainingError: if the libraries of that engine are not there, besides what `Engine` names.
    """
    return find_engine(config.engine)(
        base,
        clips,
        config,
        work_folder=work_folder,
        out=out,
        on_progress=on_progress,
        dev_clips=dev_clips,
        replay_clips=replay_clips,
        carrier_clips=carrier_clips,
    )
