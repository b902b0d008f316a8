"""Packages back to a model: exactly the numbers that a device computes with.

A gain in accuracy can vanish in few bits: what is judged must be what is shipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt

from projectone.errors import ConversionError
from projectone.server.conversion.coreml.contract import DECODER, ENCODER
from projectone.server.conversion.coreml.interpreter import Interpreter
from projectone.server.conversion.coreml.reading import read_package
from projectone.server.conversion.coreml.weights import unpackaged
from projectone.speech.checkpoint import WhisperCheckpoint, checkpoint_from
from projectone.speech.json_files import read_json
from projectone.speech.model_files import dimensions_from_config
from projectone.speech.names import hf_name_of, is_convolution, mlx_shapes


def is_whisperkit(folder: Path) -> bool:
    """Whether a folder is of the kind that `save_whisperkit` writes."""
    return (folder / f"{DECODER}.mlpackage").is_dir()


def load_whisperkit(folder: Path) -> WhisperCheckpoint:
    """The model inside a WhisperKit folder, in float32.

    Raises:
        ConversionError: if a package does not hold what the folder's own settings ask for.
        ArtifactError: if the settings themselves are not a model's.
    """
    held: dict[str, npt.NDArray[Any]] = {}
    for model in (ENCODER, DECODER):
        held |= Interpreter(read_package(folder / f"{model}.mlpackage")).stored()
    dims = dimensions_from_config(read_json(folder / "config.json"))
    stored = {}
    for name, shape in mlx_shapes(dims).items():
        packaged = held.get(name.replace(".", "_"))
        if packaged is None:
            raise ConversionError(f"{folder.name!r}: no package holds {name}")
        tensor = unpackaged(name, packaged, shape, dims)
        stored[hf_name_of(name)] = tensor.transpose(0, 2, 1) if is_convolution(name) else tensor
    return checkpoint_from(folder, stored)
