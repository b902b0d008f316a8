"""Vocabulary and decoding against transformers: the same tokens from the same text, and from the same sound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.parity.materials import small_checkpoint

from projectone.speech.checkpoint import WhisperCheckpoint, save_checkpoint
from projectone.speech.decoding import DecodingOptions, decode, detect_language
from projectone.speech.logit_rules import LogitRules
from projectone.speech.prefix import decoder_prefix
from projectone.speech.tokenizer import Tokenizer

torch = pytest.importorskip("torch", reason="parity needs the parity extra (torch, transformers)")
transformers = pytest.importorskip("transformers", reason="parity needs the parity extra (torch, transformers)")

pytestmark = [
    pytest.mark.parity,
    # The library warns about its own defaults; nothing in the folder can silence it.
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def checkpoint() -> WhisperCheckpoint:
    return small_checkpoint()


@pytest.fixture(scope="module")
def folder(checkpoint: WhisperCheckpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("parity") / "model"
    save_checkpoint(checkpoint, path, dtype="float32")
    return path


@pytest.fixture(scope="module")
def their_tokenizer(folder: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(folder)


def test_transformers_takes_the_folder_for_a_whisper_processor(folder: Path, checkpoint: WhisperCheckpoint) -> None:
    processor = transformers.AutoProcessor.from_pretrained(folder)
    assert isinstance(processor, transformers.WhisperProcessor)
    assert processor.feature_extractor.n_samples == checkpoint.features.n_samples
    assert len(processor.tokenizer) == checkpoint.dims.n_vocab


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=40).filter(lambda text: "<|" not in text))
def test_texts_become_the_same_tokens_and_come_back(
    text: str, their_tokenizer: Any, checkpoint: WhisperCheckpoint
) -> None:
    ids = checkpoint.tokenizer.encode(text)
    assert their_tokenizer.encode(text, add_special_tokens=False) == ids
    assert their_tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False) == text
    assert checkpoint.tokenizer.decode(ids) == text


@pytest.mark.parametrize("timestamps", [False, True])
def test_the_prefix_is_the_tokenizers(timestamps: bool, their_tokenizer: Any, checkpoint: WhisperCheckpoint) -> None:
    their_tokenizer.set_prefix_tokens(language="en", task="transcribe", predict_timestamps=timestamps)
    ours = decoder_prefix(checkpoint.tokenizer, language="en", timestamps=timestamps)
    assert list(their_tokenizer.prefix_tokens) == ours


def test_special_tokens_have_the_same_ids(their_tokenizer: Any, checkpoint: WhisperCheckpoint) -> None:
    tokenizer = checkpoint.tokenizer
    names = {
        "<|endoftext|>": tokenizer.eot,
        "<|startoftranscript|>": tokenizer.sot,
        "<|de|>": tokenizer.language_id("de"),
        "<|transcribe|>": tokenizer.transcribe,
        "<|translate|>": tokenizer.translate,
        "<|startofprev|>": tokenizer.sot_prev,
        "<|notimestamps|>": tokenizer.no_timestamps,
        "<|0.00|>": tokenizer.timestamp_begin,
        "<|10.00|>": tokenizer.n_vocab - 1,
    }
    assert {name: their_tokenizer.convert_tokens_to_ids(name) for name in names} == names


def rules_of(tokenizer: Tokenizer, *, timestamps: bool) -> LogitRules:
    return LogitRules(
        n_vocab=tokenizer.n_vocab,
        eot=tokenizer.eot,
        never=(1, 2),
        not_first=(5, tokenizer.eot),
        timestamp_begin=tokenizer.timestamp_begin if timestamps else None,
        no_timestamps=tokenizer.no_timestamps,
    )


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), n_sampled=st.integers(0, 9), timestamps=st.booleans())
def test_the_rules_forbid_what_the_libraries_processors_forbid(
    seed: int, n_sampled: int, timestamps: bool, checkpoint: WhisperCheckpoint
) -> None:
    tokenizer, random = checkpoint.tokenizer, np.random.default_rng(seed)
    # Texts, ends and timestamps in any order, also those that the rules would not have let through.
    kinds = (range(10), [tokenizer.eot], range(tokenizer.timestamp_begin, tokenizer.timestamp_begin + 6))
    sampled = [[int(random.choice(list(kinds[random.integers(3)]))) for _ in range(n_sampled)] for _ in range(3)]
    scores = (3 * random.normal(size=(3, tokenizer.n_vocab))).astype(np.float32)
    generation = transformers.GenerationConfig(
        eos_token_id=tokenizer.eot, bos_token_id=tokenizer.eot, max_initial_timestamp_index=50
    )
    generation.no_timestamps_token_id = tokenizer.no_timestamps
    processors = [
        transformers.SuppressTokensAtBeginLogitsProcessor([5, tokenizer.eot], begin_index=3),
        transformers.SuppressTokensLogitsProcessor([1, 2]),
    ]
    if timestamps:
        processors.append(transformers.WhisperTimeStampLogitsProcessor(generation, begin_index=3))
    expected = torch.from_numpy(scores.copy())
    ids = torch.tensor([[7, 8, 9, *row] for row in sampled])
    for processor in processors:
        expected = processor(ids, expected)
    rules_of(tokenizer, timestamps=timestamps).apply(scores, sampled)
    np.testing.assert_array_equal(scores, expected.numpy())


def sounds(n_rows: int) -> np.ndarray:
    random = np.random.default_rng(0)
    colours = 2 * random.normal(size=(n_rows, 1, 80))
    return (colours + 0.3 * random.normal(size=(n_rows, 1000, 80))).astype(np.float32)


def reopened(checkpoint: WhisperCheckpoint, folder: Path) -> Any:
    save_checkpoint(checkpoint, folder, dtype="float32")
    return transformers.WhisperForConditionalGeneration.from_pretrained(folder).eval()


@pytest.mark.parametrize("languages", [("en", "de"), ()], ids=["multilingual", "english-only"])
def test_greedy_decoding_writes_what_generate_writes(languages: tuple[str, ...], tmp_path: Path) -> None:
    checkpoint = small_checkpoint(languages=languages, seed=2)
    tokenizer, generation = checkpoint.tokenizer, checkpoint.generation
    # Random weights would write timestamps unasked, and `generate` would then cut the window at them.
    never = (*generation.suppress_tokens, *range(tokenizer.timestamp_begin, tokenizer.n_vocab))
    checkpoint = replace(checkpoint, generation=replace(generation, suppress_tokens=never))
    model = reopened(checkpoint, tmp_path / "model")
    mel = sounds(6)
    ours = decode(checkpoint, mx.array(mel), DecodingOptions(language="de", max_new_tokens=40))
    spoken = {"language": "de", "task": "transcribe"} if languages else {}
    with torch.no_grad():
        theirs = model.generate(torch.from_numpy(mel.transpose(0, 2, 1).copy()), max_new_tokens=40, **spoken).tolist()
    for result, row in zip(ours, theirs, strict=True):
        words = [token for token in row if token < tokenizer.eot or token >= tokenizer.timestamp_begin]
        assert [token for token in result.tokens if token < tokenizer.eot] == words
    assert len({len(result.tokens) for result in ours}) > 1


@pytest.mark.parametrize("languages", [("en", "de"), ()], ids=["multilingual", "english-only"])
def test_decoding_with_timestamps_writes_what_the_library_writes_in_one_pass(
    languages: tuple[str, ...], tmp_path: Path
) -> None:
    checkpoint = small_checkpoint(languages=languages, seed=2)
    model = reopened(checkpoint, tmp_path / "model")
    mel = sounds(6)
    ours = decode(checkpoint, mx.array(mel), DecodingOptions(language="en", timestamps=True, max_new_tokens=40))
    prefix = decoder_prefix(checkpoint.tokenizer, language="en", timestamps=True)
    rules = transformers.WhisperTimeStampLogitsProcessor(model.generation_config, begin_index=len(prefix))
    with torch.no_grad():
        # Not the model's own `generate`: that one walks on through the recording, as our `transcribe` does.
        theirs = transformers.GenerationMixin.generate(
            model,
            torch.from_numpy(mel.transpose(0, 2, 1).copy()),
            decoder_input_ids=torch.tensor([prefix] * len(mel)),
            logits_processor=transformers.LogitsProcessorList([rules]),
            max_new_tokens=40,
        ).tolist()
    eot = checkpoint.tokenizer.eot
    for result, row in zip(ours, theirs, strict=True):
        sampled = row[len(prefix) :]
        assert list(result.tokens) == (sampled[: sampled.index(eot)] if eot in sampled else sampled)
    assert len({len(result.tokens) for result in ours}) > 1


def test_languages_are_detected_alike(checkpoint: WhisperCheckpoint, folder: Path) -> None:
    model = transformers.WhisperForConditionalGeneration.from_pretrained(folder).eval()
    random = np.random.default_rng(1)
    mel = (2 * random.normal(size=(6, 1, 80)) + random.normal(size=(6, 1000, 80))).astype(np.float32)
    shares = detect_language(checkpoint, checkpoint.model.embed_audio(mx.array(mel)))
    ours = [checkpoint.tokenizer.language_id(next(iter(row))) for row in shares]
    with torch.no_grad():
        theirs = model.detect_language(torch.from_numpy(mel.transpose(0, 2, 1).copy())).tolist()
    assert ours == theirs
