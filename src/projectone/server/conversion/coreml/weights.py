"""A model's weights as they lie in its packages: float16, as 1x1 convolutions, queries scaled beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from projectone.errors import ConversionError
from projectone.server.conversion.coreml.contract import cache_length
from projectone.speech.checkpoint import WhisperCheckpoint, model_tensors
from projectone.speech.names import ENCODER_POSITIONS, is_convolution
from projectone.speech.tensor_file import stored_arrays
from projectone.speech.whisper import ModelDimensions

Halves = npt.NDArray[np.float16]
Floats = npt.NDArray[np.float32]
TOKENS = "decoder.token_embedding.weight"
POSITIONS = "decoder.positional_embedding"


def packaged_weights(checkpoint: WhisperCheckpoint) -> dict[str, Halves]:
    """Every tensor of the model by our name, in the shape in which a package holds it.

    Linear layers are (out, in, 1, 1) and convolutions (out, in, 1, width), for tensors of (1, state, 1, positions): the
    layout that the Neural Engine keeps in place. The queries' scale is inside their weights: a power of two for the
    published models, hence exact.

    Raises:
        ArtifactError: naming a tensor that float16 cannot hold.
    """
    tensors = model_tensors(checkpoint.model)
    for name, tensor in tensors.items():
        if ".query." in name:
            tensors[name] = tensor * _query_scale(name, checkpoint.dims)
    return {
        name: _laid_out(name, array, checkpoint.dims) for name, array in stored_arrays(tensors, dtype="float16").items()
    }


def unpackaged(name: str, array: npt.NDArray[Any], shape: tuple[int, ...], dims: ModelDimensions) -> Floats:
    """The inverse for one tensor: what lies in a package, as the model has it in `shape`, in float32.

    Raises:
        ConversionError: if it cannot have been a tensor of that shape.
    """
    wide = array.astype(np.float32)
    if name == ENCODER_POSITIONS and wide.ndim == 4:
        wide = wide[0, :, 0].T
    elif name == POSITIONS:
        wide = wide[: shape[0]]
    elif is_convolution(name) and wide.ndim == 4:
        wide = wide[:, :, 0].transpose(0, 2, 1)
    elif wide.ndim == 4:
        wide = wide[:, :, 0, 0]
    if wide.shape != shape:
        raise ConversionError(f"{name}: expected {shape} as the folder's config.json says, got {array.shape}")
    return np.ascontiguousarray(wide / _query_scale(name, dims) if ".query." in name else wide)


def _query_scale(name: str, dims: ModelDimensions) -> float:
    is_audio = name.startswith("encoder.")
    state, heads = (dims.n_audio_state, dims.n_audio_head) if is_audio else (dims.n_text_state, dims.n_text_head)
    return float((state // heads) ** -0.5)


def _laid_out(name: str, array: npt.NDArray[Any], dims: ModelDimensions) -> Halves:
    if name == ENCODER_POSITIONS:
        array = array.T[None, :, None, :]
    elif name == POSITIONS:
        missing = cache_length(dims) - len(array)  # a model of short texts: see `limits_of`
        array = np.pad(array, ((0, max(0, missing)), (0, 0)), mode="edge")
    elif is_convolution(name):
        array = array.transpose(0, 2, 1)[:, :, None, :]
    elif name != TOKENS and array.ndim == 2:
        array = array[:, :, None, None]
    return np.ascontiguousarray(array, dtype=np.float16)
