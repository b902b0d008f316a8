"""Stored tensors to a model: names and axes of Hugging Face to ours, packed weights unpacked or kept as they are."""

from __future__ import annotations

from typing import Literal

import mlx.core as mx
import mlx.nn as nn

from projectone.errors import ArtifactError
from projectone.speech.names import ENCODER_POSITIONS, TIED_PROJECTION, hf_name_of, is_convolution, mlx_name_of
from projectone.speech.quantize import SCALES, Packing, unpacked
from projectone.speech.whisper import ModelDimensions, Whisper

MemoryDtype = Literal["float32", "float16", "bfloat16"]


def assembled(
    dims: ModelDimensions,
    stored: dict[str, mx.array],
    dtype: MemoryDtype,
    packing: Packing | None = None,
    *,
    stays_packed: bool = False,
) -> Whisper:
    """A model of checked tensors; `stored` is used up.

    Args:
        dims: Of the model.
        stored: By Hugging Face name, in the shapes that a file has them in.
        dtype: Of the weights in memory.
        packing: How its matrices are packed, if they are.
        stays_packed: Compute with packed weights, as GPUs do well; else they are unpacked here.

    Raises:
        ArtifactError: if a file repeats the token embedding with other numbers.
    """
    if packing is not None and not stays_packed:
        stored = unpacked(stored, packing)
    embedding = stored[hf_name_of("decoder.token_embedding.weight")]
    projection = stored.pop(TIED_PROJECTION, embedding)
    if projection is not embedding and not mx.array_equal(projection, embedding).item():
        raise ArtifactError(f"tensor {TIED_PROJECTION!r} differs from the token embedding it is tied to")
    target = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}[dtype]
    weights: dict[str, mx.array] = {}
    for hf_name in list(stored):
        name, tensor = mlx_name_of(hf_name), stored.pop(hf_name)
        turned = mx.contiguous(tensor.transpose(0, 2, 1)) if is_convolution(name) else tensor
        weights[name] = turned if tensor.dtype == mx.uint32 else turned.astype(target)
    model = Whisper(dims)
    if packing is not None and stays_packed:
        nn.quantize(
            model, packing.group_size, packing.bits, class_predicate=lambda path, _: f"{path}{SCALES}" in weights
        )
    model.encoder._positional_embedding = weights.pop(ENCODER_POSITIONS)
    model.load_weights(list(weights.items()), strict=True)
    mx.eval(model.parameters(), model.encoder._positional_embedding)
    model.eval()
    return model
