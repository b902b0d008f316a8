"""The same BERT three times: in MLX, in numpy and in eight bits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import projectone.assist.encoder  # noqa: F401  # isort: skip - the BLAS before mlx
import mlx.core as mx
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.fakes.tiny_bert import tiny_bert, tiny_tokenizer

from projectone.assist.encoder.bert import padded, sentence_vectors
from projectone.assist.encoder.bert_files import CONFIG, WEIGHTS, BertFiles, read_bert, write_bert
from projectone.assist.encoder.numpy_bert import NumpyBert
from projectone.assist.encoder.wordpiece import WordPiece
from projectone.errors import ArtifactError

SENTENCES = [[2, 4, 5, 3], [2, 3], [2, 8, 9, 10, 11, 12, 13, 14, 3]]


@pytest.fixture(scope="module")
def files() -> BertFiles:
    return tiny_bert()


@pytest.fixture
def folder(files: BertFiles, tmp_path: Path) -> Path:
    write_bert(tmp_path, files)
    (tmp_path / CONFIG).write_text(json.dumps(files.config.to_json()))
    return tmp_path


def in_mlx(files: BertFiles, sentences: list[list[int]]) -> np.ndarray:
    weights = {name: mx.array(tensor) for name, tensor in files.tensors.items()}
    return np.array(sentence_vectors(weights, files.config, *padded(sentences)))


def test_numpy_gives_what_mlx_gives_and_padding_changes_nothing(files: BertFiles) -> None:
    bert = NumpyBert(files.config, files.tensors)
    # Sums of float32 in another order.
    np.testing.assert_allclose(np.stack([bert.vector(s) for s in SENTENCES]), in_mlx(files, SENTENCES), atol=2e-6)
    np.testing.assert_allclose(in_mlx(files, SENTENCES[:1]), in_mlx(files, SENTENCES)[:1], atol=2e-6)


def test_eight_bits_lie_near_and_do_not_hang_on_neighbours(files: BertFiles) -> None:
    pytest.importorskip("onnxruntime", reason="int8 numerics need the int8 extra")
    from projectone.assist.encoder.int8_bert import Int8Bert

    plain, rough = NumpyBert(files.config, files.tensors), Int8Bert(files.config, files.tensors, n_threads=1)
    for sentence in SENTENCES:
        near = plain.vector(sentence) @ rough.vector(sentence)
        assert 0.99 < near < 0.9999999  # eight bits, and really so


def test_a_vector_has_length_one_and_the_order_of_words_counts(files: BertFiles) -> None:
    bert = NumpyBert(files.config, files.tensors)
    there, back = bert.vector([2, 4, 5, 3]), bert.vector([2, 5, 4, 3])
    assert np.linalg.norm(there) == pytest.approx(1, abs=1e-6)
    assert there @ back < 0.9999


def test_what_was_written_is_read_and_written_again_in_the_same_bytes(files: BertFiles, folder: Path) -> None:
    read = read_bert(folder)
    assert read.config == files.config
    assert all((read.tensors[name] == tensor).all() for name, tensor in files.tensors.items())
    before = (folder / WEIGHTS).read_bytes()
    write_bert(folder, read)
    assert (folder / WEIGHTS).read_bytes() == before


def test_eight_bits_on_disk_are_a_quarter_and_off_by_half_a_step_at_most(files: BertFiles, folder: Path) -> None:
    size = (folder / WEIGHTS).stat().st_size
    write_bert(folder, files, bits=8)
    read = read_bert(folder).tensors
    for name, tensor in files.tensors.items():
        step = np.abs(tensor).max(axis=-1, keepdims=True) / 127 if tensor.ndim == 2 else 0.0
        assert (np.abs(read[name] - tensor) <= step / 2 + 1e-6).all(), name
    assert (folder / WEIGHTS).stat().st_size < 0.75 * size  # names and vectors weigh much in so small a model


def test_an_old_counter_of_positions_and_a_missing_pooler_are_fine(files: BertFiles, folder: Path) -> None:
    raw = load_file(folder / WEIGHTS)
    plain = {name: tensor for name, tensor in raw.items() if not name.startswith("pooler")}
    save_file(plain | {"embeddings.position_ids": np.arange(24)[None]}, folder / WEIGHTS)
    assert "embeddings.position_ids" not in read_bert(folder).tensors


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda raw: raw.pop("encoder.layer.1.output.dense.bias"), "1 tensors are missing: encoder.layer.1.output"),
        (lambda raw: raw.update(stranger=np.zeros(2, np.float32)), "unknown: stranger"),
        (lambda raw: raw.update({"pooler.dense.bias": np.zeros(3, np.float32)}), "expected shape"),
        (lambda raw: raw.update({"pooler.dense.bias": np.zeros(16, np.float64)}), "float64"),
        (lambda raw: raw.update({"pooler.dense.bias": np.full(16, np.nan, np.float32)}), "not finite"),
        (lambda raw: raw.update({"nothing.scale": np.ones(3, np.float32)}), "scales nothing"),
    ],
)
def test_weights_that_are_not_as_they_must_be_are_refused_by_name(change: object, named: str, folder: Path) -> None:
    raw = load_file(folder / WEIGHTS)
    change(raw)  # type: ignore[operator]
    save_file(raw, folder / WEIGHTS)
    with pytest.raises(ArtifactError, match=named):
        read_bert(folder)


def test_a_file_that_is_cut_off_or_of_another_kind_is_refused(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-7])
    with pytest.raises(ArtifactError, match=WEIGHTS):
        read_bert(folder)
    (folder / CONFIG).write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(ArtifactError, match="gpt2"):
        read_bert(folder)


def test_sizes_that_cannot_be_are_refused(files: BertFiles) -> None:
    with pytest.raises(ArtifactError, match="hidden_size"):
        replace(files.config, num_attention_heads=5)


def test_words_are_cut_into_pieces_and_long_texts_end_where_the_places_do() -> None:
    wordpiece = WordPiece(tiny_tokenizer(), n_vocabulary=18, max_places=6)
    assert wordpiece.tokens(["Play songs", "rain"]) == [[2, 4, 6, 17, 3], [2, 8, 3]]
    assert len(wordpiece.tokens(["play " * 50])[0]) == 6
    assert wordpiece.tokens([""]) == [[2, 3]]


def test_a_tokenizer_with_more_words_than_the_model_is_refused() -> None:
    with pytest.raises(ArtifactError, match="at most 10"):
        WordPiece(tiny_tokenizer(), n_vocabulary=10)
    with pytest.raises(ArtifactError, match="no tokenizer"):
        WordPiece(b"{}", n_vocabulary=10)
