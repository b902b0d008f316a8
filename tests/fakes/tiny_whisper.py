"""A Whisper model of random weights that trains in milliseconds, and a language of tones that it can learn."""

from __future__ import annotations

import projectone.speech  # noqa: F401 - the fast BLAS, before mlx

# isort: split

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt
from mlx.utils import tree_map_with_path

from projectone.speech.checkpoint import FeatureSettings, GenerationSettings, WhisperCheckpoint, save_checkpoint
from projectone.speech.vocabulary import train_tokenizer
from projectone.speech.whisper import ModelDimensions, Whisper

WINDOW_S = 2
RATE_HZ = 16_000
# Each word is a tone of its own: a language that a model of 30,000 weights can learn.
WORDS = {"red": 300.0, "green": 700.0, "blue": 1500.0, "black": 3000.0}
_N_SWELLS = 9  # in a lively word

Samples = npt.NDArray[np.float32]


def tiny_checkpoint(
    *, seed: int = 0, width: int = 32, n_mels: int = 20, languages: Sequence[str] = ("en",)
) -> WhisperCheckpoint:
    """One encoder and one decoder block over a window of two seconds."""
    texts = [f" {word}" for word in WORDS] * 3
    tokenizer = train_tokenizer(texts, n_text_tokens=280, languages=languages, window_s=WINDOW_S)
    dims = ModelDimensions(
        n_mels=n_mels,
        n_audio_ctx=50 * WINDOW_S,
        n_audio_state=width,
        n_audio_head=2,
        n_audio_layer=1,
        n_vocab=tokenizer.n_vocab,
        n_text_ctx=32,
        n_text_state=width,
        n_text_head=2,
        n_text_layer=1,
    )
    model = Whisper(dims)
    mx.random.seed(seed)

    def drawn(name: str, weight: Any) -> Any:
        if "ln" in name:
            return weight
        return mx.random.normal(weight.shape) * (0.02 if "embedding" in name else weight.shape[-1] ** -0.5)

    model.update(tree_map_with_path(drawn, model.parameters()))
    return WhisperCheckpoint(
        model=model,
        dims=dims,
        tokenizer=tokenizer,
        generation=GenerationSettings.for_tokenizer(tokenizer, n_text_ctx=dims.n_text_ctx),
        features=FeatureSettings(feature_size=n_mels, chunk_length_s=WINDOW_S),
    )


def save_tiny(folder: Path, *, seed: int = 0) -> Path:
    """A folder with such a model."""
    save_checkpoint(tiny_checkpoint(seed=seed), folder)
    return folder


def say(text: str, *, seed: int = 0, word_s: float = 0.3, is_lively: bool = False) -> Samples:
    """The text in the language of tones: seeded pitch, loudness and noise.

    Lively speech swells and fades within each word and takes breaks, another way for every seed, as people do: without
    that, the same words sound like copies of one recording, and the server collapses them.
    """
    random = np.random.default_rng(seed)
    spoken = []
    for word in text.split():
        times = np.arange(round(word_s * random.uniform(0.8, 1.2) * RATE_HZ)) / RATE_HZ
        tone = np.sin(2 * np.pi * WORDS[word] * random.uniform(0.97, 1.03) * times)
        tone *= random.uniform(0.2, 0.5) * np.hanning(times.size) ** 0.3
        if is_lively:
            knots = np.linspace(0, times.size, _N_SWELLS)
            tone *= 10 ** (np.interp(np.arange(times.size), knots, random.uniform(-24, 0, _N_SWELLS)) / 20)
            spoken.append(np.zeros(round(random.uniform(0, 0.2) * word_s * RATE_HZ)))
        spoken.append(tone)
    sound = np.concatenate(spoken)
    return (sound + 0.003 * random.standard_normal(sound.size)).astype(np.float32)
