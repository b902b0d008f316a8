"""What a run was made with: its outcome is repeated on the same versions, not necessarily on others."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version

import mlx.core as mx

from projectone import __version__
from projectone.server.training.config import EngineName
from projectone.speech.blas import load_blas

_ON_TORCH = ("torch", "transformers", "peft")


def environment(engine: EngineName = "mlx") -> dict[str, str | int | None]:
    """Versions, machine and device, for a record."""
    device = mx.default_device()
    return {
        "projectone": __version__,
        "python": platform.python_version(),
        "mlx": version("mlx"),
        "numpy": version("numpy"),
        **{name: version(name) for name in (_ON_TORCH if engine == "transformers" else ())},
        "system": sys.platform,
        "machine": platform.machine(),
        "n_cpus": os.cpu_count(),
        "device": "cpu" if device.type == mx.cpu else "gpu",
        "blas": load_blas().name if device.type == mx.cpu else None,
    }
