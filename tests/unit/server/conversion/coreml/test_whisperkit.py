"""Saved packages beside the model they were made from, whole and damaged in ten ways."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_map_with_path
from tests.fakes.tiny_whisper import tiny_checkpoint

from projectone.errors import ConversionError
from projectone.server.conversion.coreml import graphs, layers
from projectone.server.conversion.coreml.compression import Stored, compressed, dense
from projectone.server.conversion.coreml.contract import DECODER, ENCODER, MEL, contracts_of, limits_of
from projectone.server.conversion.coreml.folder import save_whisperkit
from projectone.server.conversion.coreml.graphs import graphs_of
from projectone.server.conversion.coreml.interpreter import Interpreter
from projectone.server.conversion.coreml.library import coremltools, mb
from projectone.server.conversion.coreml.reading import Operation, read_package
from projectone.server.conversion.coreml.saving import WEIGHTS, convert, save_package
from projectone.server.conversion.coreml.unpacking import load_whisperkit
from projectone.server.conversion.coreml.verification import Report, verify
from projectone.server.conversion.coreml.weights import packaged_weights
from projectone.speech.checkpoint import WhisperCheckpoint, model_tensors, save_checkpoint
from projectone.speech.whisper import ModelDimensions, Whisper

HEADS = ((0, 0), (1, 1))


def everywhere_random(seed: int) -> WhisperCheckpoint:
    """Two blocks on each side, and no bias or gain that would not be missed."""
    plain = tiny_checkpoint()
    dims = dataclasses.replace(plain.dims, n_audio_layer=2, n_text_layer=2)
    model = Whisper(dims)
    mx.random.seed(seed)

    def drawn(name: str, weight: mx.array) -> mx.array:
        return mx.random.normal(weight.shape) * 0.25 + ("ln.weight" in name or "ln_post.weight" in name)

    model.update(tree_map_with_path(drawn, model.parameters()))
    generation = dataclasses.replace(plain.generation, alignment_heads=HEADS)
    return dataclasses.replace(plain, model=model, dims=dims, generation=generation)


@pytest.fixture(scope="module")
def checkpoint() -> WhisperCheckpoint:
    return everywhere_random(0)


def packages(
    checkpoint: WhisperCheckpoint,
    folder: Path,
    weights: dict[str, Stored],
    *,
    of: ModelDimensions | None = None,
    heads: tuple[tuple[int, int], ...] = HEADS,
    only: tuple[str, ...] = (MEL, ENCODER, DECODER),
) -> Path:
    dims = of or checkpoint.dims
    folder.mkdir(exist_ok=True)
    for name, graph in graphs_of(dims, weights, contracts_of(dims, has_alignment=True), heads).items():
        if name in only:
            shutil.rmtree(folder / f"{name}.mlpackage", ignore_errors=True)
            save_package(convert(graph()), folder / f"{name}.mlpackage")
    return folder


@pytest.fixture(scope="module")
def whole(checkpoint: WhisperCheckpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "whisperkit"
    folder.mkdir()
    save_whisperkit(checkpoint, folder, "float16")
    return folder


def judge(checkpoint: WhisperCheckpoint, folder: Path) -> Report:
    contracts = contracts_of(checkpoint.dims, has_alignment=True)
    return verify(folder, checkpoint, dict(packaged_weights(checkpoint)), contracts)


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_packages_are_the_model(checkpoint: WhisperCheckpoint, whole: Path) -> None:
    report = judge(checkpoint, whole)
    assert report.faults(is_exact=True) == []
    assert report.argmax[1] > 0
    assert {stage for stage, value in report.decibels.items() if value > 55} == {
        "mel",
        "encoder",
        "decoder",
        "alignment",
    }


def test_what_is_unpacked_is_what_was_packed_in_float16(checkpoint: WhisperCheckpoint, whole: Path) -> None:
    unpacked = model_tensors(load_whisperkit(whole).model)
    for name, tensor in model_tensors(checkpoint.model).items():
        # Queries were rounded after their scale, which is no power of two at this width.
        assert np.allclose(np.array(unpacked[name]), np.array(tensor), rtol=1e-3, atol=1e-6), name


def test_the_same_model_gives_the_same_bytes_even_after_coremltools_opened_them(
    checkpoint: WhisperCheckpoint, whole: Path, tmp_path: Path
) -> None:
    again = packages(checkpoint, tmp_path / "again", dict(packaged_weights(checkpoint)))
    coremltools.models.MLModel(str(again / f"{ENCODER}.mlpackage"), skip_model_load=True)
    first = digests(whole)
    assert {name: digest for name, digest in digests(again).items() if first[name] != digest} == {}


def test_a_fine_tune_changes_the_weights_and_nothing_else(
    checkpoint: WhisperCheckpoint, whole: Path, tmp_path: Path
) -> None:
    other = everywhere_random(1)
    tuned = packages(other, tmp_path / "tuned", dict(packaged_weights(other)))
    first = digests(whole)
    changed = {name for name, digest in digests(tuned).items() if first[name] != digest}
    assert changed == {f"{model}.mlpackage/{WEIGHTS}" for model in (ENCODER, DECODER)}


def swapped(weights: dict[str, Stored], one: str, other: str) -> None:
    weights[one], weights[other] = weights[other], weights[one]


def unscaled(weights: dict[str, Stored], width: int) -> None:
    for name in ("decoder.blocks.1.attn.query.weight", "decoder.blocks.1.attn.query.bias"):
        weights[name] = (dense(weights[name]) * np.float16(width**0.5)).astype(np.float16)


MISTAKES: dict[str, tuple[Callable[[dict[str, Stored]], None], str]] = {
    "a layer copied from another": (
        lambda w: w.update({"decoder.blocks.1.mlp1.weight": w["decoder.blocks.0.mlp1.weight"]}),
        "decoder_blocks_1_mlp1_weight is not in the packages",
    ),
    "a bias forgotten": (
        lambda w: w.update({"decoder.blocks.0.mlp1.bias": np.zeros_like(dense(w["decoder.blocks.0.mlp1.bias"]))}),
        "decoder_blocks_0_mlp1_bias is not in the packages",
    ),
    "keys and values swapped": (
        lambda w: swapped(w, "decoder.blocks.0.attn.key.weight", "decoder.blocks.0.attn.value.weight"),
        "decoder_blocks_0_attn_key_weight is not",
    ),
    "the scale of attention forgotten": (lambda w: unscaled(w, 16), "decoder_blocks_1_attn_query_weight is not"),
    "positions off by one": (
        lambda w: w.update({graphs.POSITIONS: np.roll(dense(w[graphs.POSITIONS]), 1, axis=0)}),
        "decoder_positional_embedding is not",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_weights_is_named_and_seen_in_the_numbers(
    mistake: str, checkpoint: WhisperCheckpoint, whole: Path, tmp_path: Path
) -> None:
    make, said = MISTAKES[mistake]
    weights: dict[str, Stored] = dict(packaged_weights(checkpoint))
    make(weights)
    shutil.copytree(whole, tmp_path / "bad")
    faults = judge(checkpoint, packages(checkpoint, tmp_path / "bad", weights, only=(DECODER,))).faults(is_exact=True)
    assert any(said in fault for fault in faults), faults
    assert any(fault.startswith("decoder: ") for fault in faults), faults  # the numbers alone would have found it


def test_a_flipped_bit_on_the_disk_is_named(checkpoint: WhisperCheckpoint, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "bad")
    path = tmp_path / "bad" / f"{ENCODER}.mlpackage" / WEIGHTS
    data = bytearray(path.read_bytes())
    kernel = dense(packaged_weights(checkpoint)["encoder.conv2.weight"]).tobytes()
    data[data.index(kernel) + 101] ^= 0x10
    path.write_bytes(data)
    assert "encoder_conv2_weight is not in the packages as it should be" in judge(checkpoint, tmp_path / "bad").faults(
        is_exact=True
    )


def test_a_graph_that_swaps_keys_and_values_is_seen_by_its_numbers_alone(
    checkpoint: WhisperCheckpoint, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = layers.Layers.attention

    def wrong(self: layers.Layers, x: object, keys: object, values: object, layer: str, **given: object) -> object:
        pair = (values, keys) if layer == "decoder.blocks.0.cross_attn" else (keys, values)
        return right(self, x, *pair, layer, **given)

    monkeypatch.setattr(layers.Layers, "attention", wrong)
    shutil.copytree(whole, tmp_path / "bad")
    bad = packages(checkpoint, tmp_path / "bad", dict(packaged_weights(checkpoint)), only=(DECODER,))
    report = judge(checkpoint, bad)
    assert not report.missing
    assert report.decibels["decoder"] < 40


def test_one_wrong_alignment_head_is_seen(checkpoint: WhisperCheckpoint, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "bad")
    weights: dict[str, Stored] = dict(packaged_weights(checkpoint))
    bad = packages(checkpoint, tmp_path / "bad", weights, heads=((0, 0), (1, 0)), only=(DECODER,))
    assert [fault.split(":")[0] for fault in judge(checkpoint, bad).faults(is_exact=True)] == ["alignment"]


def test_a_spectrogram_in_float16_is_wrong_on_silence(
    checkpoint: WhisperCheckpoint, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast = mb.cast
    monkeypatch.setattr(mb, "cast", lambda x, dtype, name: cast(x=x, dtype="fp16", name=name))
    monkeypatch.setattr(graphs.np, "float32", np.float16)
    shutil.copytree(whole, tmp_path / "bad")
    bad = packages(checkpoint, tmp_path / "bad", dict(packaged_weights(checkpoint)), only=(MEL,))
    monkeypatch.undo()
    with pytest.raises(ConversionError, match="log 'logarithm': its result is not finite in float16"):
        judge(checkpoint, bad)


def test_a_cache_one_column_short_breaks_the_contract(
    checkpoint: WhisperCheckpoint, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectone.server.conversion.coreml.contract.LEAST_CACHE", 223)
    shutil.copytree(whole, tmp_path / "bad")
    bad = packages(checkpoint, tmp_path / "bad", dict(packaged_weights(checkpoint)), only=(DECODER,))
    monkeypatch.undo()
    assert any(
        "'key_cache': expected float16 (1, 64, 1, 224), got" in f for f in judge(checkpoint, bad).faults(is_exact=True)
    )


def test_a_broken_contract_is_a_fault_of_a_compressed_folder_too() -> None:
    report = Report(
        breaches={DECODER: ["input 'x' is missing"]},
        missing=(),
        foreign=(),
        decibels={},
        silence_error=0,
        argmax=(0, 0),
    )
    assert report.faults(is_exact=False) == ["TextDecoder: input 'x' is missing"]


def test_an_overflow_names_the_operation_where_it_began(checkpoint: WhisperCheckpoint, tmp_path: Path) -> None:
    weights: dict[str, Stored] = dict(packaged_weights(checkpoint))
    weights["encoder.blocks.1.mlp2.bias"] = np.full_like(dense(weights["encoder.blocks.1.mlp2.bias"]), 60_000)
    weights["encoder.blocks.0.mlp2.bias"] = weights["encoder.blocks.1.mlp2.bias"]
    bad = packages(checkpoint, tmp_path / "bad", weights, only=(ENCODER,))
    encoder = read_package(bad / f"{ENCODER}.mlpackage")
    mel = np.zeros(encoder.contract.inputs[0].shape, np.float16)
    with pytest.raises(ConversionError, match="encoder_blocks_1_done"):
        Interpreter(encoder)(melspectrogram_features=mel)
    Interpreter(encoder, is_half=False)(melspectrogram_features=mel)  # nothing is wrong but the width of the numbers


@pytest.mark.parametrize("file", ["Data/com.apple.CoreML/model.mlmodel", str(WEIGHTS)])
@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_a_damaged_package_is_refused_by_name(file: str, damage: str, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / f"{DECODER}.mlpackage", tmp_path / f"{DECODER}.mlpackage")
    path = tmp_path / f"{DECODER}.mlpackage" / file
    data = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(data[: len(data) // 3] if damage == "cut" else b"garbage\n" * 100)
    with pytest.raises(ConversionError, match=r"TextDecoder.mlpackage: cannot be read as a Core ML package"):
        read_package(tmp_path / f"{DECODER}.mlpackage")


def test_an_operation_nobody_wrote_here_is_never_skipped(whole: Path) -> None:
    graph = read_package(whole / f"{MEL}.mlpackage")
    strange = Operation("erf", {"x": "audio"}, ("strange",), {})
    with pytest.raises(ConversionError, match="'erf' is not known"):
        Interpreter(dataclasses.replace(graph, operations=(*graph.operations, strange)))


@pytest.mark.parametrize(
    ("variant", "distinct", "most"), [("int8", 255, 0.007), ("palette6", 64, 0.03), ("palette4", 16, 0.12)]
)
def test_compressed_packages_hold_exactly_the_compressed_numbers(
    variant: str, distinct: int, most: float, checkpoint: WhisperCheckpoint, tmp_path: Path
) -> None:
    folder = tmp_path / variant
    folder.mkdir()
    assert save_whisperkit(checkpoint, folder, variant).missing == ()  # type: ignore[arg-type]
    unpacked = load_whisperkit(folder)
    save_checkpoint(unpacked, tmp_path / "judged")  # what `evaluate` reads
    before, after = model_tensors(checkpoint.model), model_tensors(unpacked.model)
    for name in ("encoder.blocks.0.mlp1.weight", "decoder.token_embedding.weight"):
        was, is_now = np.array(before[name]), np.array(after[name])
        rows = is_now if variant == "int8" else [is_now]
        assert all(len(np.unique(row)) <= distinct for row in rows)
        assert np.sqrt(np.mean((was - is_now) ** 2)) / was.std() < most
    for name in ("decoder.positional_embedding", "decoder.ln.weight"):
        assert np.array_equal(np.array(after[name]), np.array(before[name]).astype(np.float16)), name
    assert compressed(packaged_weights(checkpoint), "float16").keys() == packaged_weights(checkpoint).keys()


def test_heads_of_blocks_that_the_decoder_lacks_are_refused(checkpoint: WhisperCheckpoint, tmp_path: Path) -> None:
    generation = dataclasses.replace(checkpoint.generation, alignment_heads=((5, 0),))
    with pytest.raises(ConversionError, match=r"alignment heads \[\(5, 0\)\]: the decoder has 2 blocks"):
        save_whisperkit(dataclasses.replace(checkpoint, generation=generation), tmp_path, "float16")


def test_the_limits_of_a_model_of_its_own_size_are_said_and_a_published_one_has_none(
    checkpoint: WhisperCheckpoint,
) -> None:
    assert len(limits_of(checkpoint.dims)) == 3
    assert limits_of(ModelDimensions(80, 1500, 384, 6, 4, 51865, 448, 384, 6, 4)) == []
