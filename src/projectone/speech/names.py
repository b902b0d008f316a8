"""Tensor names and shapes of a Whisper checkpoint: ours (those of mlx-whisper) and Hugging Face's, as a table.

Two differences besides the names: Hugging Face keeps convolution kernels as (out, in, kernel) where MLX has
(out, kernel, in), and it stores the encoder's sinusoids, which are no parameter here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from projectone.speech.whisper import ModelDimensions

ENCODER_POSITIONS = "encoder._positional_embedding"
TIED_PROJECTION = "proj_out.weight"  # some files repeat the token embedding under this name

_WHOLE = {
    "encoder.conv1": "model.encoder.conv1",
    "encoder.conv2": "model.encoder.conv2",
    ENCODER_POSITIONS: "model.encoder.embed_positions.weight",
    "encoder.ln_post": "model.encoder.layer_norm",
    "decoder.token_embedding": "model.decoder.embed_tokens",
    "decoder.positional_embedding": "model.decoder.embed_positions.weight",
    "decoder.ln": "model.decoder.layer_norm",
}
_IN_BLOCK = {
    "attn": "self_attn",
    "attn_ln": "self_attn_layer_norm",
    "cross_attn": "encoder_attn",
    "cross_attn_ln": "encoder_attn_layer_norm",
    "mlp1": "fc1",
    "mlp2": "fc2",
    "mlp_ln": "final_layer_norm",
}
_IN_ATTENTION = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "out": "out_proj"}
_LEAVES = ("weight", "bias", "scales", "biases")  # the last two beside a packed matrix

_BLOCK = re.compile(r"(encoder|decoder)\.blocks\.(\d+)\.(\w+)\.(.+)")
_LAYER = re.compile(r"model\.(encoder|decoder)\.layers\.(\d+)\.(\w+)\.(.+)")


def hf_name_of(mlx_name: str) -> str:
    """The Hugging Face name of one of our tensors, such as `encoder.blocks.0.attn.query.weight`.

    Raises:
        KeyError: if no Whisper model has such a tensor.
    """
    if match := _BLOCK.fullmatch(mlx_name):
        side, index, part, rest = match.groups()
        head, dot, tail = rest.partition(".")
        inside = f"{_IN_ATTENTION[head]}{dot}{tail}" if "ln" not in part and part.endswith("attn") else rest
        return f"model.{side}.layers.{index}.{_IN_BLOCK[part]}.{inside}"
    return _translated(mlx_name, _WHOLE)


def mlx_name_of(hf_name: str) -> str:
    """The inverse of `hf_name_of`.

    Raises:
        KeyError: if no Whisper model has such a tensor.
    """
    if match := _LAYER.fullmatch(hf_name):
        side, index, part, rest = match.groups()
        ours = {theirs: name for name, theirs in _IN_BLOCK.items()}[part]
        head, dot, tail = rest.partition(".")
        if part.endswith("_attn"):
            rest = {theirs: name for name, theirs in _IN_ATTENTION.items()}[head] + dot + tail
        return f"{side}.blocks.{index}.{ours}.{rest}"
    return _translated(hf_name, {theirs: name for name, theirs in _WHOLE.items()})


def is_convolution(mlx_name: str) -> bool:
    """Whether the tensor is a convolution kernel, whose last two axes the two layouts exchange."""
    return mlx_name in ("encoder.conv1.weight", "encoder.conv2.weight")


def hf_shapes(dims: ModelDimensions) -> dict[str, tuple[int, ...]]:
    """Every tensor of a checkpoint of these dimensions, by Hugging Face name, with its shape there."""
    return {hf_name_of(name): _hf_shape(name, shape) for name, shape in mlx_shapes(dims).items()}


def mlx_shapes(dims: ModelDimensions) -> dict[str, tuple[int, ...]]:
    """Every tensor of a checkpoint of these dimensions, by our name, with its shape here."""
    audio, text = dims.n_audio_state, dims.n_text_state
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.conv1.weight": (audio, 3, dims.n_mels),
        "encoder.conv1.bias": (audio,),
        "encoder.conv2.weight": (audio, 3, audio),
        "encoder.conv2.bias": (audio,),
        ENCODER_POSITIONS: (dims.n_audio_ctx, audio),
        "decoder.token_embedding.weight": (dims.n_vocab, text),
        "decoder.positional_embedding": (dims.n_text_ctx, text),
    }
    for index in range(dims.n_audio_layer):
        shapes.update(_block(f"encoder.blocks.{index}", audio, has_cross_attention=False))
    for index in range(dims.n_text_layer):
        shapes.update(_block(f"decoder.blocks.{index}", text, has_cross_attention=True))
    shapes.update(_layer_norm("encoder.ln_post", audio))
    shapes.update(_layer_norm("decoder.ln", text))
    return shapes


def _block(name: str, n_state: int, *, has_cross_attention: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    for attention in ("attn", "cross_attn") if has_cross_attention else ("attn",):
        for projection in _IN_ATTENTION:
            yield f"{name}.{attention}.{projection}.weight", (n_state, n_state)
            if projection != "key":  # Whisper's keys have no bias: it would cancel in the softmax
                yield f"{name}.{attention}.{projection}.bias", (n_state,)
        yield from _layer_norm(f"{name}.{attention}_ln", n_state)
    yield f"{name}.mlp1.weight", (4 * n_state, n_state)
    yield f"{name}.mlp1.bias", (4 * n_state,)
    yield f"{name}.mlp2.weight", (n_state, 4 * n_state)
    yield f"{name}.mlp2.bias", (n_state,)
    yield from _layer_norm(f"{name}.mlp_ln", n_state)


def _layer_norm(name: str, n_state: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (n_state,)
    yield f"{name}.bias", (n_state,)


def _hf_shape(mlx_name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], shape[2], shape[1]) if is_convolution(mlx_name) else shape


def _translated(name: str, table: dict[str, str]) -> str:
    if name in table:
        return table[name]
    module, _, leaf = name.rpartition(".")
    if leaf not in _LEAVES:
        raise KeyError(name)
    return f"{table[module]}.{leaf}"
