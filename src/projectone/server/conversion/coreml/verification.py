"""Whether a saved folder is the model that it was made from, as far as that can be known without a Mac.

Four questions, each asked of the files on disk: does WhisperKit find what it expects (contract), are the stored numbers
the model's (census), does the graph compute what the model computes (numbers, WhisperKit's own loop replayed), and does
all of it stay within float16. Nothing here ran on Core ML; the report says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from projectone.server.conversion.coreml.compression import Stored, dense
from projectone.server.conversion.coreml.contract import DECODER, ENCODER, MEL, ModelContract, breaches
from projectone.server.conversion.coreml.interpreter import Interpreter
from projectone.server.conversion.coreml.reading import Graph, read_package
from projectone.speech.audio import log_mel
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.forced import Floats, audio_features, forced_scores

# Decibels of the largest number over the root mean square error. What float16 costs is 70 to 78 on random weights; one
# forgotten bias in one block is 46, one wrong alignment head 24.
LEAST_DECIBELS = {"mel": 55.0, "encoder": 60.0, "decoder": 60.0, "alignment": 55.0}
MOST_SILENCE_ERROR = 1e-3  # a spectrogram that computes in float16 is off by 0.7 where nothing is heard
_N_FORCED = 12
_MASKED = -10000.0


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was found.

    Attributes:
        breaches: Of the contract, by model; empty lists where it is kept.
        missing: Tensors of the model that the packages do not hold bit by bit.
        foreign: Large constants of the packages that are not the model's.
        decibels: Signal over error, of each stage given the same input.
        silence_error: Largest error of the spectrogram of silence.
        argmax: How often the most likely next token agrees, of those the reference decides by more than the error.
    """

    breaches: Mapping[str, list[str]]
    missing: tuple[str, ...]
    foreign: tuple[str, ...]
    decibels: Mapping[str, float]
    silence_error: float
    argmax: tuple[int, int]

    def faults(self, *, is_exact: bool) -> list[str]:
        """Why this folder must not be released; a compressed one is judged by its word errors instead."""
        faults = [f"{model}: {breach}" for model, found in self.breaches.items() for breach in found]
        faults += [f"{name} is not in the packages as it should be" for name in self.missing]
        faults += [f"{name} is in the packages and not in the model" for name in self.foreign]
        if self.silence_error > MOST_SILENCE_ERROR:
            faults.append(f"the spectrogram of silence is off by {self.silence_error:.3g}, expected 0.001 at most")
        # Nothing was computed where the contract is broken.
        judged = {stage: value for stage, value in self.decibels.items() if is_exact or stage == "mel"}
        faults += [
            f"{stage}: {decibels:.1f} dB, expected {LEAST_DECIBELS[stage]:.0f} or more"
            for stage, decibels in judged.items()
            if not decibels >= LEAST_DECIBELS[stage]
        ]
        if is_exact and self.argmax[0] != self.argmax[1]:
            faults.append(f"the next token agrees {self.argmax[0]} of {self.argmax[1]} times")
        return faults

    def to_json(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        return {
            "verified": ["contract", "census", "interpreter"],
            "coreml_executed": False,
            "decibels": {stage: round(value, 1) for stage, value in self.decibels.items()},
            "silence_error": self.silence_error,
            "argmax": list(self.argmax),
        }


def verify(
    folder: Path, checkpoint: WhisperCheckpoint, weights: Mapping[str, Stored], contracts: Mapping[str, ModelContract]
) -> Report:
    """Read the three packages in `folder` and compare them with the model.

    Raises:
        ConversionError: if one cannot be read or run at all, or overflows float16.
    """
    graphs = {name: read_package(folder / f"{name}.mlpackage") for name in contracts}
    found = {name: breaches(graph.contract, contracts[name]) for name, graph in graphs.items()}
    missing, foreign = census(graphs, weights)
    if any(found.values()):
        return Report(breaches=found, missing=missing, foreign=foreign, decibels={}, silence_error=0.0, argmax=(0, 0))
    mel, silence_error = _mel_decibels(graphs[MEL], checkpoint)
    replay = _Replay(checkpoint, graphs)
    return Report(
        breaches=found,
        missing=missing,
        foreign=foreign,
        decibels={"mel": mel, **replay.decibels},
        silence_error=silence_error,
        argmax=replay.argmax,
    )


def census(graphs: Mapping[str, Graph], weights: Mapping[str, Stored]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tensors that no package holds bit by bit, and large constants that no tensor accounts for."""
    held = {name: value for model in (ENCODER, DECODER) for name, value in Interpreter(graphs[model]).stored().items()}
    expected = {name.replace(".", "_"): dense(stored) for name, stored in weights.items()}
    missing = [
        name
        for name, array in expected.items()
        if name not in held or held[name].dtype != array.dtype or held[name].tobytes() != array.tobytes()
    ]
    foreign = [
        name for name, value in held.items() if name not in expected and value.dtype.kind == "f" and value.size > 1
    ]
    return tuple(missing), tuple(foreign)


def decibels(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """Largest square of `expected` over the mean squared error, in decibels."""
    error = np.mean((found.astype(np.float64) - expected.astype(np.float64)) ** 2)
    return float(10 * np.log10(np.max(expected.astype(np.float64) ** 2) / max(float(error), 1e-30)))


def _mel_decibels(graph: Graph, checkpoint: WhisperCheckpoint) -> tuple[float, float]:
    run, n_mels = Interpreter(graph), checkpoint.dims.n_mels
    sound = _sound(checkpoint.features.n_samples)
    silence = np.zeros_like(sound)

    def spectrogram(samples: Floats) -> Floats:
        features = run(audio=samples)["melspectrogram_features"]
        return features[0, :, 0].T.astype(np.float32)

    # The package takes float16 sound, so the reference gets the same.
    heard = decibels(spectrogram(sound), log_mel(sound.astype(np.float16).astype(np.float32), n_mels))
    return heard, float(np.abs(spectrogram(silence) - log_mel(silence, n_mels)).max())


class _Replay:
    """WhisperKit's loop over forced tokens beside the model itself, on the same float16 inputs."""

    def __init__(self, checkpoint: WhisperCheckpoint, graphs: Mapping[str, Graph]) -> None:
        dims = checkpoint.dims
        mel = log_mel(_sound(checkpoint.features.n_samples), dims.n_mels).astype(np.float16)
        encoded = Interpreter(graphs[ENCODER])(melspectrogram_features=mel.T[None, :, None, :])
        features = encoded["encoder_output_embeds"]
        heard = features[0, :, 0].T.astype(np.float32)
        self.decibels = {"encoder": decibels(heard, audio_features(checkpoint, mel.astype(np.float32)))}
        seed = np.random.default_rng(0)
        n_tokens = min(_N_FORCED, dims.n_text_ctx)
        tokens = seed.integers(0, dims.n_vocab, n_tokens).astype(np.int32)
        logits, alignment = replay_loop(Interpreter(graphs[DECODER]), graphs[DECODER].contract, tokens, features)
        expected, shares = forced_scores(checkpoint, tokens, heard)
        self.decibels["decoder"] = min(decibels(a, b) for a, b in zip(logits, expected, strict=True))
        if alignment is not None and shares is not None:
            self.decibels["alignment"] = decibels(alignment, shares)
        self.argmax = _agreements(logits, expected)


def replay_loop(
    run: Interpreter, contract: ModelContract, tokens: npt.NDArray[np.int32], features: npt.NDArray[Any]
) -> tuple[Floats, Floats | None]:
    """WhisperKit's own loop: scores after each of `tokens`, and where the alignment heads look, if there are any.

    Source: `decodeText` in WhisperKit's TextDecoder.swift.
    """
    keys, values = (np.zeros(tensor.shape, np.float16) for tensor in contract.inputs[2:4])
    mask = np.zeros(contract.inputs[4].shape, np.float16)
    padding = np.full(mask.shape, _MASKED, np.float16)
    mask[0, 0], padding[0, 0] = 1, 0
    logits: list[Floats] = []
    alignment: list[Floats] = []
    for place, token in enumerate(tokens):
        outputs = run(
            input_ids=np.array([token], np.int32),
            cache_length=np.array([place], np.int32),
            key_cache=keys,
            value_cache=values,
            kv_cache_update_mask=mask,
            encoder_output_embeds=features,
            decoder_key_padding_mask=padding,
        )
        logits.append(outputs["logits"][0, 0].astype(np.float32))
        if "alignment_heads_weights" in outputs:
            alignment.append(outputs["alignment_heads_weights"][0].astype(np.float32))
        keys[..., place] = outputs["key_cache_updates"][..., 0]
        values[..., place] = outputs["value_cache_updates"][..., 0]
        if place + 1 < mask.shape[1]:
            padding[0, place + 1], mask[0, place], mask[0, place + 1] = 0, 0, 1
    return np.array(logits), np.array(alignment) if alignment else None


def _agreements(found: Floats, expected: Floats) -> tuple[int, int]:
    """How many most likely tokens agree, of those that lead by more than the largest error."""
    error = float(np.abs(found - expected).max())
    ordered = np.sort(expected, axis=1)
    decided = ordered[:, -1] - ordered[:, -2] > 2 * error
    agree = found.argmax(axis=1) == expected.argmax(axis=1)
    return int((agree & decided).sum()), int(decided.sum())


def _sound(n_samples: int) -> Floats:
    """Something with structure: a rising voice of five harmonics, broken by pauses, over a little noise."""
    seconds = np.arange(n_samples) / 16_000
    pitch = np.cumsum(110 + 60 * np.sin(2 * np.pi * 0.7 * seconds)) / 16_000
    voice = sum(np.sin(2 * np.pi * k * pitch) / k for k in range(1, 6)) * (np.sin(2 * np.pi * 1.3 * seconds) > -0.3)
    noise = np.random.default_rng(0).standard_normal(n_samples)
    return np.asarray(0.1 * voice + 0.003 * noise, np.float32)
