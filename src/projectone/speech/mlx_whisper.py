"""A second folder for mlx-whisper, which cannot open the first one.

mlx-whisper reads its ten dimensions from `config.json` and refuses every other key, while transformers needs its own
keys in a file of that name: one folder cannot serve both. Its weights have our names and our layout of convolutions.

mlx-whisper brings the published vocabularies along and picks one by the number of tokens. A model with a vocabulary of
its own gives the right scores there, but its text cannot be read with them.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from projectone.speech.checkpoint import WhisperCheckpoint, model_tensors
from projectone.speech.names import ENCODER_POSITIONS
from projectone.speech.quantize import CONFIG_KEY, Packing, packed
from projectone.speech.tensor_file import StoredDtype, stored_arrays
from projectone.storage.files import write_atomically

PUBLISHED_VOCABULARIES = (51864, 51865, 51866)  # English-only, multilingual, large-v3


def has_published_vocabulary(checkpoint: WhisperCheckpoint) -> bool:
    """Whether mlx-whisper can turn this model's tokens into text: it knows the vocabularies by their size."""
    return checkpoint.dims.n_vocab in PUBLISHED_VOCABULARIES


def save_mlx_whisper(
    checkpoint: WhisperCheckpoint, folder: Path, *, dtype: StoredDtype = "float16", packing: Packing | None = None
) -> None:
    """Write `config.json` and `weights.safetensors` as `mlx_whisper.load_models.load_model` reads them.

    Args:
        checkpoint: The model.
        folder: Not the one that holds the Hugging Face layout; a folder inside it is a good place.
        dtype: On disk.
        packing: Of its matrices, where they are to be packed; the rest is float16 then.

    Raises:
        ArtifactError: naming the tensor whose numbers are not finite, or do not fit `dtype`.
        StorageError: if the disk refused.

    Source: `load_model` in mlx_whisper/load_models.py, release 0.4.3.
    """
    tensors = model_tensors(checkpoint.model)
    del tensors[ENCODER_POSITIONS]  # computed there, as here
    if packing is not None:
        tensors, dtype = packed(tensors, packing), "float16"
    arrays: dict[str, np.ndarray[Any, Any]] = stored_arrays(tensors, dtype=dtype)
    if checkpoint.generation.alignment_heads:
        arrays["alignment_heads"] = np.array(checkpoint.generation.alignment_heads, np.int32)
    how = {} if packing is None else {CONFIG_KEY: packing.to_json()}
    config = json.dumps({"model_type": "whisper", **asdict(checkpoint.dims), **how}, indent=2, sort_keys=True)
    write_atomically(folder / "config.json", f"{config}\n".encode())
    write_atomically(folder / "weights.safetensors", save(arrays, metadata={"format": "mlx"}))
