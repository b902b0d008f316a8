"""What a run was made with: its outcome is repeated on the same versions, not necessarily on others."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import mlx.core as mx

from projectone import __version__
from projectone.server.training.config import EngineName
from projectone.speech.blas import load_blas

_ON_TORCH = ("torch", "transformers", "peft")
# Raised with every change after which a run ends with other bits: in the sums of `speech` or of this package, in their
# order, in what is drawn by chance, in which weights are kept. A run that was begun before is then not gone on with.
ARITHMETIC: Final = 3

Arithmetic = dict[str, str | int | None]


def arithmetic(engine: EngineName = "mlx") -> Arithmetic:
    """What decides the last bits of a run besides what it is given: the version of our sums, and of the libraries.

    Not the machine: one run may be shared by several, and the bits are promised on each alone.
    """
    libraries = ("mlx", "numpy", *(_ON_TORCH if engine == "transformers" else ()))
    return {"arithmetic": ARITHMETIC, **{name: _version(name) for name in libraries}}


def environment(engine: EngineName = "mlx") -> dict[str, str | int | None]:
    """Versions, machine and device, for a record."""
    device = mx.default_device()
    return {
        "projectone": __version__,
        "python": platform.python_version(),
        **arithmetic(engine),
        "system": sys.platform,
        "machine": platform.machine(),
        "n_cpus": os.cpu_count(),
        "device": "cpu" if device.type == mx.cpu else "gpu",
        "blas": load_blas().name if device.type == mx.cpu else None,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None  # who needs it says so, and how to get it
