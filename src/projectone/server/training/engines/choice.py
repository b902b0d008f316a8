"""Which engine a run asks for: the library that takes its steps."""

from __future__ import annotations

from projectone.errors import TrainingError
from projectone.server.training.config import EngineName
from projectone.server.training.engines.steps import MlxSteps, StepsOpener

_EXTRA = ("torch", "transformers", "peft")


def find_steps(name: EngineName) -> StepsOpener:
    """What opens the steps of this engine. Nobody who trains in MLX waits for torch to load.

    Raises:
        TrainingError: saying how to install it, if its libraries are not there.
    """
    if name == "mlx":
        return MlxSteps
    try:
        from projectone.server.training.engines.transformers import TorchSteps
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRA:
            raise
        raise TrainingError(
            f"the engine transformers needs torch, transformers and peft, and there is no {error.name}: "
            "install projectone[torch]"
        ) from error
    return TorchSteps
