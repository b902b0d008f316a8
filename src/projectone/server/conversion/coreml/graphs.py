"""The three models as Core ML graphs, written operation by operation from the weights: no torch, no tracing.

Everything computes in float16 but the spectrogram, whose least power, 1e-10, float16 cannot hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from projectone.server.conversion.coreml.compression import Stored
from projectone.server.conversion.coreml.contract import DECODER, ENCODER, MEL, ModelContract
from projectone.server.conversion.coreml.layers import Layers, program
from projectone.server.conversion.coreml.library import Program, Value, mb
from projectone.server.conversion.coreml.weights import POSITIONS, TOKENS
from projectone.speech.names import ENCODER_POSITIONS
from projectone.speech.spectrum import HALF, HOP_LENGTH, N_FFT, mel_filters
from projectone.speech.whisper import ModelDimensions

Array = npt.NDArray[np.float32]
_LEAST_POWER = 1e-10


def graphs_of(
    dims: ModelDimensions,
    weights: Mapping[str, Stored],
    contracts: Mapping[str, ModelContract],
    alignment_heads: Sequence[tuple[int, int]],
) -> dict[str, Callable[[], Program]]:
    """What makes each model's program, by the model's name."""
    return {
        MEL: lambda: mel_graph(dims, contracts[MEL]),
        ENCODER: lambda: encoder_graph(dims, weights, contracts[ENCODER]),
        DECODER: lambda: decoder_graph(dims, weights, contracts[DECODER], alignment_heads),
    }


def mel_graph(dims: ModelDimensions, contract: ModelContract) -> Program:
    """Sound to log-mel frames: a Fourier transform as one convolution, in float32."""
    n_samples = contract.inputs[0].shape[0]
    n_frames = n_samples // HOP_LENGTH

    def build(audio: Value) -> Value:
        sound = mb.cast(x=audio, dtype="fp32", name="sound")
        sound = mb.reshape(x=sound, shape=[1, 1, n_samples], name="channel")
        sound = mb.pad(x=sound, pad=[0, 0, 0, 0, HALF, HALF], mode="reflect", name="mirrored")
        waves = mb.conv(x=sound, weight=_waves(), strides=[HOP_LENGTH], pad_type="valid", name="spectrum")
        # The reference drops the last frame.
        waves = mb.slice_by_index(x=waves, begin=[0, 0, 0], end=[1, 2 * (HALF + 1), n_frames], name="frames")
        squares = mb.mul(x=waves, y=waves, name="squares")
        real, imaginary = mb.split(x=squares, num_splits=2, axis=1, name="parts")
        power = mb.add(x=real, y=imaginary, name="power")
        filters = np.ascontiguousarray(mel_filters(dims.n_mels).T, dtype=np.float32)
        bands = mb.matmul(x=filters, y=power, name="bands")
        logs = mb.log(x=mb.maximum(x=bands, y=np.float32(_LEAST_POWER), name="audible"), name="logarithm")
        tens = mb.mul(x=logs, y=np.float32(1 / np.log(10)), name="decades")
        loudest = mb.reduce_max(x=tens, keep_dims=True, name="loudest")
        heard = mb.maximum(x=tens, y=mb.sub(x=loudest, y=np.float32(8), name="floor"), name="heard")
        scaled = mb.mul(x=mb.add(x=heard, y=np.float32(4), name="raised"), y=np.float32(0.25), name="scaled")
        shaped = mb.reshape(x=scaled, shape=[1, dims.n_mels, 1, n_frames], name="image")
        return mb.cast(x=shaped, dtype="fp16", name=contract.outputs[0].name)

    return program(contract, build)


def encoder_graph(dims: ModelDimensions, weights: Mapping[str, Stored], contract: ModelContract) -> Program:
    """Log-mel frames to audio features."""
    layers = Layers(weights, dims.n_audio_head)

    def build(melspectrogram_features: Value) -> Value:
        x = layers.convolution(melspectrogram_features, "encoder.conv1", stride=1)
        x = layers.convolution(x, "encoder.conv2", stride=2)
        x = mb.add(x=x, y=layers.stored(ENCODER_POSITIONS), name="encoder_positions")
        for index in range(dims.n_audio_layer):
            block = f"encoder.blocks.{index}"
            h = layers.norm(x, f"{block}.attn_ln")
            keys, values = layers.linear(h, f"{block}.attn.key"), layers.linear(h, f"{block}.attn.value")
            attended, _ = layers.attention(h, keys, values, f"{block}.attn")
            x = layers.mlp(mb.add(x=x, y=attended, name=layers.name(f"{block}.attended")), block)
        return layers.norm(x, "encoder.ln_post", name=contract.outputs[0].name)

    return program(contract, build)


def decoder_graph(
    dims: ModelDimensions,
    weights: Mapping[str, Stored],
    contract: ModelContract,
    alignment_heads: Sequence[tuple[int, int]],
) -> Program:
    """One token to the scores of the next; the caches come in and go out as WhisperKit keeps them."""
    layers = Layers(weights, dims.n_text_head)
    state, length = dims.n_text_state, contract.inputs[2].shape[3]

    def build(
        input_ids: Value,
        cache_length: Value,
        key_cache: Value,
        value_cache: Value,
        kv_cache_update_mask: Value,
        encoder_output_embeds: Value,
        decoder_key_padding_mask: Value,
    ) -> Value:
        tokens = layers.stored(TOKENS)
        here = mb.expand_dims(x=kv_cache_update_mask, axes=[1, 2], name="here")
        before = mb.sub(x=np.float16(1), y=here, name="before")
        padding = mb.expand_dims(x=decoder_key_padding_mask, axes=[1, 2], name="padding")
        token = mb.gather(x=tokens, indices=input_ids, axis=0, name="token")
        position = mb.gather(x=layers.stored(POSITIONS), indices=cache_length, axis=0, name="position")
        x = mb.reshape(x=mb.add(x=token, y=position, name="embedded"), shape=[1, state, 1, 1], name="residual")
        updates: tuple[list[Value], list[Value]] = ([], [])
        heard: list[Value] = []
        for index in range(dims.n_text_layer):
            block = f"decoder.blocks.{index}"
            h = layers.norm(x, f"{block}.attn_ln")
            past = []
            for cache, what, kept in zip((key_cache, value_cache), ("key", "value"), updates, strict=True):
                new = layers.linear(h, f"{block}.attn.{what}")
                kept.append(new)
                own = mb.slice_by_index(
                    x=cache,
                    begin=[0, index * state, 0, 0],
                    end=[1, (index + 1) * state, 1, length],
                    name=layers.name(f"{block}.{what}_cache"),
                )
                old = mb.mul(x=own, y=before, name=layers.name(f"{block}.{what}_old"))
                added = mb.mul(x=new, y=here, name=layers.name(f"{block}.{what}_new"))
                past.append(mb.add(x=old, y=added, name=layers.name(f"{block}.{what}s")))
            attended, _ = layers.attention(h, past[0], past[1], f"{block}.attn", mask=padding)
            x = mb.add(x=x, y=attended, name=layers.name(f"{block}.attended"))
            h = layers.norm(x, f"{block}.cross_attn_ln")
            keys = layers.linear(encoder_output_embeds, f"{block}.cross_attn.key")
            values = layers.linear(encoder_output_embeds, f"{block}.cross_attn.value")
            attended, shares = layers.attention(h, keys, values, f"{block}.cross_attn")
            heard += [(head, shares) for layer, head in alignment_heads if layer == index]
            x = layers.mlp(mb.add(x=x, y=attended, name=layers.name(f"{block}.heard")), block)
        x = mb.reshape(x=layers.norm(x, "decoder.ln"), shape=[1, 1, state], name="last")
        logits = mb.matmul(x=x, y=tokens, transpose_y=True, name="logits")
        outputs = [
            logits,
            *(
                mb.concat(values=kept, axis=1, name=output.name)
                for kept, output in zip(updates, contract.outputs[1:3], strict=True)
            ),
        ]
        return (*outputs, layers.mean_of_heads(heard, "alignment_heads_weights")) if heard else tuple(outputs)

    return program(contract, build)


def _waves() -> Array:
    """Cosines, then sines, under a periodic Hann window: (2 x 201, 1, 400)."""
    n = np.arange(N_FFT)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / N_FFT)
    angles = 2 * np.pi * np.outer(np.arange(HALF + 1), n) / N_FFT
    waves = np.concatenate([np.cos(angles), np.sin(angles)]) * window
    return waves[:, None, :].astype(np.float32)
