"""Teaching: fine-tuning of Whisper models in MLX. Loads the fast BLAS before mlx."""

import projectone.speech.blas  # noqa: F401 - must come before anything that imports mlx
from projectone.server.training.config import AugmentationConfig, TrainingConfig
from projectone.server.training.engines.protocol import Engine, TrainingProgress, TrainingResult
from projectone.server.training.engines.run import finetune
from projectone.server.training.examples import TrainingClip

__all__ = [
    "AugmentationConfig",
    "Engine",
    "TrainingClip",
    "TrainingConfig",
    "TrainingProgress",
    "TrainingResult",
    "finetune",
]
