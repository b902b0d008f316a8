"""Whisper folders of random weights at real sizes, small enough in their vocabulary files to be made on the spot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import product
from string import ascii_lowercase

import mlx.core as mx
import numpy as np
from mlx.utils import tree_map_with_path

from projectone.server.training.loss import Batch, Target, collate_targets
from projectone.speech.checkpoint import FeatureSettings, GenerationSettings, WhisperCheckpoint
from projectone.speech.prefix import decoder_prefix
from projectone.speech.tokenizer import Tokenizer
from projectone.speech.vocabulary import train_tokenizer
from projectone.speech.whisper import ModelDimensions, Whisper

TEXTS = [" the quick brown fox jumps over the lazy dog", " seven three nine", " call the office at nine"] * 5


def whisper_dims(
    width: int, n_head: int, n_layer: int, *, n_mels: int = 80, n_decoder: int = 0, n_vocab: int = 51865
) -> ModelDimensions:
    """Dimensions as published for 30 s windows."""
    return ModelDimensions(
        n_mels=n_mels,
        n_audio_ctx=1500,
        n_audio_state=width,
        n_audio_head=n_head,
        n_audio_layer=n_layer,
        n_vocab=n_vocab,
        n_text_ctx=448,
        n_text_state=width,
        n_text_head=n_head,
        n_text_layer=n_decoder or n_layer,
    )


TINY = whisper_dims(384, 6, 4)
BASE = whisper_dims(512, 8, 6)
SMALL = whisper_dims(768, 12, 12)
TURBO = whisper_dims(1280, 20, 32, n_mels=128, n_decoder=4, n_vocab=51866)


def tokenizer_of_size(n_vocab: int, *, n_languages: int = 99) -> Tokenizer:
    """A vocabulary with the published number of tokens: learned ones, then fillers that no text reaches."""
    codes = [first + second for first, second in product(ascii_lowercase, repeat=2)]
    languages = ["en", *[code for code in codes if code != "en"][: n_languages - 1]]
    raw = json.loads(train_tokenizer(TEXTS, n_text_tokens=300, languages=languages, window_s=30.0).source)
    n_added, vocabulary = len(raw["added_tokens"]), raw["model"]["vocab"]
    for index in range(len(vocabulary), n_vocab - n_added):
        vocabulary[f"filler{index}"] = index
    for offset, token in enumerate(raw["added_tokens"]):
        token["id"] = n_vocab - n_added + offset
    return Tokenizer(json.dumps(raw, ensure_ascii=False))


def random_model(dims: ModelDimensions, *, seed: int = 0) -> Whisper:
    """Seeded weights of the size that trained ones have: scores spread over tens, not over hundredths."""
    mx.random.seed(seed)

    def drawn(name: str, parameter: mx.array) -> mx.array:
        noise = mx.random.normal(parameter.shape)
        if name.endswith(("ln.weight", "ln_post.weight")):
            return 1 + 0.1 * noise
        if parameter.ndim == 1:
            return 0.1 * noise
        if name.endswith(("embedding.weight", "positional_embedding")):
            return 0.3 * noise
        return noise * (1.2 / np.sqrt(np.prod(parameter.shape[1:])))

    model = Whisper(dims)
    model.update(tree_map_with_path(drawn, model.parameters()))
    model.eval()
    return model


def random_checkpoint(dims: ModelDimensions, tokenizer: Tokenizer, *, seed: int = 0) -> WhisperCheckpoint:
    """A whole checkpoint around a random model; the window follows from the dimensions."""
    return WhisperCheckpoint(
        model=random_model(dims, seed=seed),
        dims=dims,
        tokenizer=tokenizer,
        generation=GenerationSettings.for_tokenizer(tokenizer, n_text_ctx=dims.n_text_ctx),
        features=FeatureSettings(feature_size=dims.n_mels, chunk_length_s=dims.n_audio_ctx // 50),
    )


def small_checkpoint(*, languages: tuple[str, ...] = ("en", "de"), seed: int = 0) -> WhisperCheckpoint:
    """A model with a window of ten seconds and a small vocabulary, as one trained from scratch would have."""
    tokenizer = train_tokenizer(TEXTS, n_text_tokens=300, languages=languages, window_s=10.0)
    dims = ModelDimensions(
        n_mels=80,
        n_audio_ctx=500,
        n_audio_state=64,
        n_audio_head=4,
        n_audio_layer=2,
        n_vocab=tokenizer.n_vocab,
        n_text_ctx=96,
        n_text_state=64,
        n_text_head=2,
        n_text_layer=3,
    )
    checkpoint = random_checkpoint(dims, tokenizer, seed=seed)
    # A lean towards end-of-text, or random weights would never stop.
    decoder = checkpoint.model.decoder
    decoder.ln.bias = decoder.ln.bias + 1.5 * decoder.token_embedding.weight[tokenizer.eot]
    return checkpoint


def targets_of(checkpoint: WhisperCheckpoint, texts: list[str]) -> list[Target]:
    """What a model is to write, without timestamps."""
    tokenizer = checkpoint.tokenizer
    prefix = decoder_prefix(tokenizer, language="en", timestamps=False)
    return [Target((*prefix, *tokenizer.encode(f" {text}"), tokenizer.eot), len(prefix)) for text in texts]


def mels_of(checkpoint: WhisperCheckpoint, n_rows: int) -> np.ndarray:
    """Whole windows of noise."""
    shape = (n_rows, checkpoint.features.n_frames, checkpoint.dims.n_mels)
    return np.random.default_rng(0).normal(size=shape).astype(np.float32) * 0.5


def our_batch(checkpoint: WhisperCheckpoint, targets: list[Target], mel: np.ndarray) -> Batch:
    """As a step sees them."""
    tokens, rows, columns, wanted = collate_targets(targets, pad=checkpoint.tokenizer.eot)
    return Batch(mx.array(mel), mx.array(tokens), mx.array(rows), mx.array(columns), mx.array(wanted), 1.0)


def drawn_adapters(opening: Mapping[str, mx.array]) -> dict[str, mx.array]:
    """B too: with B zero, as it begins, A would have no gradient to compare."""
    random = np.random.default_rng(3)
    sizes = {"lora_a": 0.05, "lora_b": 0.02}
    return {
        name: mx.array(random.normal(size=t.shape, scale=sizes[name[-6:]]).astype(np.float16).astype(np.float32))
        for name, t in opening.items()
    }
