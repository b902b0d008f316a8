"""What WhisperKit expects of the three models, and whether a saved one keeps to it.

WhisperKit finds every tensor by its name, takes the sizes from the shapes, and copies the caches as two-byte numbers.
It checks nothing itself: a model that differs fails on the phone.

Source: argmax-oss-swift at tag v1.1.0, `Models.swift`, `TextDecoder.swift`, `ModelUtilities.swift`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from projectone.speech.whisper import ModelDimensions

MEL, ENCODER, DECODER = "MelSpectrogram", "AudioEncoder", "TextDecoder"
MANIFEST = "whisperkit.json"
WHISPERKIT = "1.0.0"  # the first release that reads what is written here
# Its loop writes as many columns of the caches, whatever it is asked for: `Constants.maxTokenContext`.
LEAST_CACHE = 224
PUBLISHED_VOCABULARIES = (51864, 51865, 51866)
PUBLISHED_WIDTHS = (384, 512, 768, 1024, 1280)
Dtype = Literal["float16", "float32", "float64", "int32"]
"""Types of tensors that Core ML knows; WhisperKit asks for the first and the last."""


@dataclass(frozen=True)
class TensorContract:
    """A tensor that crosses between WhisperKit and a model."""

    name: str
    shape: tuple[int, ...]
    dtype: Dtype = "float16"


@dataclass(frozen=True)
class ModelContract:
    """The tensors of one model."""

    inputs: tuple[TensorContract, ...]
    outputs: tuple[TensorContract, ...]


def cache_length(dims: ModelDimensions) -> int:
    """Columns of the decoder's caches: what WhisperKit writes at least, else half the positions, as it asks for."""
    return max(LEAST_CACHE, dims.n_text_ctx // 2)


def contracts_of(dims: ModelDimensions, *, has_alignment: bool) -> dict[str, ModelContract]:
    """The contract of each model, by its name."""
    frames, positions = 2 * dims.n_audio_ctx, dims.n_audio_ctx
    state, length = dims.n_text_state, cache_length(dims)
    mel = TensorContract("melspectrogram_features", (1, dims.n_mels, 1, frames))
    audio = TensorContract("encoder_output_embeds", (1, state, 1, positions))
    columns = dims.n_text_layer * state
    alignment = (TensorContract("alignment_heads_weights", (1, positions)),) if has_alignment else ()
    return {
        MEL: ModelContract((TensorContract("audio", (frames * 160,)),), (mel,)),
        ENCODER: ModelContract((mel,), (audio,)),
        DECODER: ModelContract(
            (
                TensorContract("input_ids", (1,), "int32"),
                TensorContract("cache_length", (1,), "int32"),
                TensorContract("key_cache", (1, columns, 1, length)),
                TensorContract("value_cache", (1, columns, 1, length)),
                TensorContract("kv_cache_update_mask", (1, length)),
                audio,
                TensorContract("decoder_key_padding_mask", (1, length)),
            ),
            (
                TensorContract("logits", (1, 1, dims.n_vocab)),
                TensorContract("key_cache_updates", (1, columns, 1, 1)),
                TensorContract("value_cache_updates", (1, columns, 1, 1)),
                *alignment,
            ),
        ),
    }


def breaches(found: ModelContract, expected: ModelContract) -> list[str]:
    """What of a saved model is not as WhisperKit expects it, in words."""
    wrong = []
    for side, theirs, ours in (
        ("input", expected.inputs, found.inputs),
        ("output", expected.outputs, found.outputs),
    ):
        by_name = {tensor.name: tensor for tensor in ours}
        for tensor in theirs:
            if (other := by_name.pop(tensor.name, None)) is None:
                wrong.append(f"{side} {tensor.name!r} is missing")
            elif other != tensor:
                wrong.append(
                    f"{side} {tensor.name!r}: expected {tensor.dtype} {tensor.shape}, got {other.dtype} {other.shape}"
                )
        wrong += [f"{side} {name!r} is unknown to WhisperKit" for name in by_name]
    return wrong


def limits_of(dims: ModelDimensions) -> list[str]:
    """What WhisperKit will do with such a model that its users must know; nothing for the published shapes."""
    limits = []
    if dims.n_vocab not in PUBLISHED_VOCABULARIES or dims.n_text_state not in PUBLISHED_WIDTHS:
        limits.append(
            f"{dims.n_vocab} tokens and width {dims.n_text_state} are no published Whisper: WhisperKit logs an error "
            "and calls it `base`; give it this folder as tokenizerFolder"
        )
    if dims.n_text_ctx < LEAST_CACHE:
        limits.append(
            f"the decoder knows {dims.n_text_ctx} positions, WhisperKit's loop goes to {LEAST_CACHE}: set "
            f"DecodingOptions.sampleLength to {dims.n_text_ctx - 4} at most; what follows repeats the last position"
        )
    if dims.n_audio_ctx != 1500:
        limits.append(f"windows of {dims.n_audio_ctx // 50} s instead of 30 s: split recordings accordingly")
    return limits
