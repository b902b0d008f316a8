"""The folder written for CTranslate2: the bytes of its own converter, and our model's tokens when it runs there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from tests.parity.materials import random_checkpoint, small_checkpoint, tokenizer_of_size, whisper_dims

from projectone.speech.checkpoint import WhisperCheckpoint, save_checkpoint
from projectone.speech.ctranslate2 import Bits, save_ctranslate2
from projectone.speech.decoding import DecodingOptions, decode
from projectone.speech.prefix import decoder_prefix
from projectone.speech.tensor_file import StoredDtype

ctranslate2: Any = pytest.importorskip("ctranslate2", reason="CTranslate2 is one of the benchmarks' peers")

pytestmark = pytest.mark.parity

N_TOKENS = 12


@pytest.mark.parametrize(
    ("theirs", "dtype", "bits"),
    [
        ("float32", "float32", None),
        ("float16", "float16", None),
        ("int8", "float32", 8),
        ("int8_float16", "float16", 8),
    ],
)
def test_the_bytes_are_those_of_their_own_converter(
    theirs: str, dtype: StoredDtype, bits: Bits | None, tmp_path: Path
) -> None:
    from ctranslate2.converters import TransformersConverter

    checkpoint, saved, ours = small_checkpoint(), tmp_path / "saved", tmp_path / "ours"
    for folder in (saved, ours):
        folder.mkdir()
    save_checkpoint(checkpoint, saved, dtype="float32")
    save_ctranslate2(checkpoint, ours, dtype=dtype, bits=bits)
    TransformersConverter(str(saved)).convert(str(tmp_path / "theirs"), quantization=theirs)
    for name in ("model.bin", "config.json", "vocabulary.json"):
        assert (ours / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes(), name


def test_it_writes_the_same_tokens_there_and_is_as_sure_of_them(tmp_path: Path) -> None:
    checkpoint = small_checkpoint()
    save_ctranslate2(checkpoint, tmp_path, dtype="float32")
    mel = np.random.default_rng(0).normal(size=(4, checkpoint.features.n_frames, 80)).astype(np.float32)
    options = DecodingOptions(language="en", max_new_tokens=N_TOKENS)
    ours = decode(checkpoint, mx.array(mel), options)
    theirs = generated(tmp_path, checkpoint, mel)
    assert [list(result.tokens) for result in ours] == [result.sequences_ids[0] for result in theirs]
    # Whisper counts an end that did not come, CTranslate2 does not.
    sure = [result.avg_logprob * (N_TOKENS + 1) / N_TOKENS for result in ours]
    np.testing.assert_allclose(sure, [result.scores[0] for result in theirs], rtol=1e-3)


@pytest.mark.slow
def test_faster_whisper_opens_it_and_begins_as_our_decoder_does(tmp_path: Path) -> None:
    faster_whisper: Any = pytest.importorskip("faster_whisper", reason="one of the benchmarks' peers")
    from faster_whisper.tokenizer import Tokenizer as TheirTokenizer

    checkpoint = random_checkpoint(whisper_dims(64, 2, 1), tokenizer_of_size(51865))
    save_ctranslate2(checkpoint, tmp_path, dtype="float32")
    model = faster_whisper.WhisperModel(str(tmp_path), device="cpu", compute_type="float32", cpu_threads=1)
    theirs = TheirTokenizer(model.hf_tokenizer, True, task="transcribe", language="en")
    opening = decoder_prefix(checkpoint.tokenizer, language="en", timestamps=False)
    assert model.get_prompt(theirs, [], without_timestamps=True) == opening
    sound = 0.1 * np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    plain: dict[str, Any] = {"log_prob_threshold": None, "compression_ratio_threshold": None, "language": "en"}
    segments, _ = model.transcribe(sound, no_speech_threshold=None, max_new_tokens=N_TOKENS, beam_size=1, **plain)
    assert list(segments)


def generated(folder: Path, checkpoint: WhisperCheckpoint, mel: np.ndarray[Any, Any]) -> list[Any]:
    """What CTranslate2 writes, greedily; half of `max_length` are new tokens."""
    model = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="float32", intra_threads=1)
    prefix = decoder_prefix(checkpoint.tokenizer, language="en", timestamps=False)
    features = ctranslate2.StorageView.from_array(np.ascontiguousarray(mel.transpose(0, 2, 1)))
    prompts = [prefix] * len(mel)
    written: list[Any] = model.generate(features, prompts, beam_size=1, max_length=2 * N_TOKENS, return_scores=True)
    return written
