from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten, tree_map
from safetensors.numpy import load_file, save_file

from projectone.errors import ArtifactError
from projectone.speech.checkpoint import (
    CHECKPOINT_FILES,
    WhisperCheckpoint,
    digest_of_folder,
    load_checkpoint,
    model_tensors,
    save_checkpoint,
)

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def folder(checkpoint: WhisperCheckpoint, tmp_path: Path) -> Path:
    save_checkpoint(checkpoint, tmp_path / "model", dtype="float32")
    return tmp_path / "model"


def change_json(path: Path, change: Change) -> None:
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))


def change_tensors(folder: Path, change: Change) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_saved_model_comes_back_bit_for_bit_in_float32(checkpoint: WhisperCheckpoint, folder: Path) -> None:
    again = load_checkpoint(folder)
    before, after = model_tensors(checkpoint.model), model_tensors(again.model)
    assert before.keys() == after.keys()
    assert all(mx.array_equal(before[name], after[name]).item() for name in before)
    assert again.tokenizer.source == checkpoint.tokenizer.source
    assert again.features.n_samples == checkpoint.features.n_samples == 32_000
    assert again.folder_digest == digest_of_folder(folder)


def test_float16_on_disk_is_float32_in_memory_and_saves_to_the_same_bytes(
    checkpoint: WhisperCheckpoint, tmp_path: Path
) -> None:
    save_checkpoint(checkpoint, tmp_path / "one")
    loaded = load_checkpoint(tmp_path / "one")
    assert {value.dtype for _, value in tree_flatten(loaded.model.parameters())} == {mx.float32}
    save_checkpoint(loaded, tmp_path / "two")
    for name in CHECKPOINT_FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert digest_of_folder(tmp_path / "one") == digest_of_folder(tmp_path / "two")


def test_the_memory_type_can_be_chosen(folder: Path) -> None:
    model = load_checkpoint(folder, dtype="bfloat16").model
    assert {value.dtype for _, value in tree_flatten(model.parameters())} == {mx.bfloat16}


def test_unused_keys_of_the_settings_survive_a_round_trip(folder: Path, tmp_path: Path) -> None:
    change_json(
        folder / "generation_config.json", lambda raw: raw.update(alignment_heads=[[1, 0]], some_future_key=[7])
    )
    change_json(folder / "config.json", lambda raw: raw.update(dropout=0.25))
    loaded = load_checkpoint(folder)
    assert loaded.generation.alignment_heads == ((1, 0),)
    save_checkpoint(loaded, tmp_path / "again")
    assert json.loads((tmp_path / "again" / "generation_config.json").read_text())["some_future_key"] == [7]
    assert json.loads((tmp_path / "again" / "config.json").read_text())["dropout"] == 0.25


def test_a_repeated_output_projection_is_accepted_only_if_it_is_the_embedding(folder: Path) -> None:
    def repeat(tensors: dict[str, Any]) -> None:
        tensors["proj_out.weight"] = tensors["model.decoder.embed_tokens.weight"].copy()

    def differ(tensors: dict[str, Any]) -> None:
        tensors["proj_out.weight"] += 1

    change_tensors(folder, repeat)
    load_checkpoint(folder)
    change_tensors(folder, differ)
    with pytest.raises(ArtifactError, match=r"'proj_out\.weight' differs from the token embedding"):
        load_checkpoint(folder)


NAME = "model.decoder.layers.0.encoder_attn.q_proj.bias"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(NAME), f"1 tensors are missing: {NAME}"),
        (lambda t: t.update(stranger=np.zeros(3, np.float32)), "1 tensors are unknown: stranger"),
        (lambda t: t.update({NAME: np.zeros(17, np.float32)}), rf"{NAME}.*expected shape \(16,\), got \(17,\)"),
        (lambda t: t.update({NAME: np.zeros(16, np.int32)}), f"{NAME}.*expected dtype F32.* or U32, got 'I32'"),
        (lambda t: t.update({NAME: np.full(16, np.nan, np.float32)}), f"{NAME}.*not finite"),
        (lambda t: t.update({NAME: np.full(16, np.inf, np.float16)}), f"{NAME}.*not finite"),
    ],
    ids=["missing", "unknown", "shape", "dtype", "nan", "infinite"],
)
def test_a_wrong_tensor_is_refused_by_name(folder: Path, change: Change, message: str) -> None:
    change_tensors(folder, change)
    with pytest.raises(ArtifactError, match=message):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("file", "key", "value", "message"),
    [
        ("config.json", "vocab_size", 51865, "config.json says 51865 tokens, tokenizer.json"),
        ("config.json", "max_source_positions", 1500, "3000 mel frames.*preprocessor_config.json 200"),
        ("config.json", "d_model", 18.0, "d_model: expected a whole number"),
        ("config.json", "d_model", -16, "d_model: expected 1 to"),
        ("config.json", "d_model", 10**30, "d_model: expected 1 to"),
        ("config.json", "encoder_attention_heads", 5, "cannot be split over 5 heads"),
        ("config.json", "encoder_ffn_dim", 63, "expected 64"),
        ("config.json", "model_type", "bert", "model_type: expected 'whisper', got 'bert'"),
        ("config.json", "activation_function", "relu", "activation_function"),
        ("config.json", "num_mel_bins", 128, "mel bands"),
        ("preprocessor_config.json", "sampling_rate", 8000, "sampling_rate: expected 16000, got 8000"),
        ("preprocessor_config.json", "chunk_length", "2", "chunk_length: expected a whole number"),
        ("generation_config.json", "eos_token_id", 3, "eos_token_id is 3, in tokenizer.json"),
        ("generation_config.json", "suppress_tokens", [10**6], "outside the vocabulary"),
        ("generation_config.json", "suppress_tokens", "all", "suppress_tokens: expected a list"),
        ("generation_config.json", "alignment_heads", [1, 2], "alignment_heads"),
    ],
)
def test_settings_that_disagree_are_refused_by_key(
    folder: Path, file: str, key: str, value: object, message: str
) -> None:
    change_json(folder / file, lambda raw: raw.update({key: value}))
    with pytest.raises(ArtifactError, match=message):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", sorted(set(CHECKPOINT_FILES) - {"tokenizer_config.json"}))
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=name):
        load_checkpoint(folder)


def test_a_vocabulary_without_timestamps_is_completed_by_the_weights(folder: Path) -> None:
    def drop_timestamps(raw: dict[str, Any]) -> None:
        raw["added_tokens"] = [token for token in raw["added_tokens"] if "." not in token["content"]]

    before = load_checkpoint(folder).tokenizer
    change_json(folder / "tokenizer.json", drop_timestamps)
    after = load_checkpoint(folder).tokenizer
    assert not after.has_timestamp_tokens
    assert after.timestamp_begin == before.timestamp_begin
    assert after.decode_with_timestamps([after.timestamp_begin + 25]) == "<|0.50|>"


def test_an_english_only_model_may_carry_language_tokens(folder: Path) -> None:
    def make_english_only(raw: dict[str, Any]) -> None:
        raw["is_multilingual"] = False
        del raw["lang_to_id"], raw["task_to_id"]

    change_json(folder / "generation_config.json", make_english_only)
    loaded = load_checkpoint(folder)
    assert loaded.tokenizer.languages
    assert not loaded.tokenizer.is_multilingual


def test_feature_settings_are_found_where_newer_libraries_put_them(folder: Path) -> None:
    raw = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"feature_extractor": raw}))
    assert load_checkpoint(folder).features.chunk_length_s == 2


def test_weights_in_several_files_are_refused_with_advice(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(ArtifactError, match="save them as one"):
        load_checkpoint(folder)


def test_a_pickled_model_is_refused_unopened(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    (folder / "pytorch_model.bin").chmod(0)  # opening it would say so
    with pytest.raises(ArtifactError, match=r"'pytorch_model\.bin' was not opened"):
        load_checkpoint(folder)


def test_every_cut_and_every_flipped_header_byte_is_refused_or_harmless(folder: Path) -> None:
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    random = np.random.default_rng(7)
    for n_kept in [0, 7, 8, 9, 100, *random.integers(0, len(whole), 20)]:
        path.write_bytes(whole[:n_kept])
        with pytest.raises(ArtifactError):
            load_checkpoint(folder)
    n_header = int.from_bytes(whole[:8], "little")
    for position in random.integers(0, 8 + n_header, 60):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(random.integers(0, 8))
        path.write_bytes(damaged)
        try:  # a changed space or metadata letter may be harmless; nothing else may come out of it
            load_checkpoint(folder)
        except ArtifactError:
            continue


def test_weights_that_float16_cannot_hold_are_not_written(checkpoint: WhisperCheckpoint, tmp_path: Path) -> None:
    model = checkpoint.model
    model.update(tree_map(lambda p: p + 1e6, model.parameters()))
    with pytest.raises(ArtifactError, match="float16 cannot hold"):
        save_checkpoint(checkpoint, tmp_path / "model")
    assert not (tmp_path / "model" / "model.safetensors").exists()


def test_parts_that_do_not_fit_cannot_be_put_together(checkpoint: WhisperCheckpoint) -> None:
    with pytest.raises(ArtifactError, match="window"):
        replace(checkpoint, features=replace(checkpoint.features, chunk_length_s=30))


def test_the_digest_follows_the_files_and_ignores_strangers(folder: Path) -> None:
    before = digest_of_folder(folder)
    (folder / "README.md").write_text("a card")
    assert digest_of_folder(folder) == before
    lines = "".join(
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in sorted(CHECKPOINT_FILES)
    )
    assert before == hashlib.sha256(lines.encode()).hexdigest()
    (folder / "tokenizer_config.json").write_text("{}")
    assert digest_of_folder(folder) != before
