import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.fakes.tiny_whisper import save_tiny, say

from projectone.errors import ArtifactError
from projectone.server.evaluation.golden import GoldenClip, golden_set
from projectone.server.evaluation.inspection import find_defects, operations, size_of, vocabulary_digest, windows_of
from projectone.server.evaluation.scorer import examine_model
from projectone.speech.checkpoint import load_checkpoint

GOLDEN = golden_set(
    [GoldenClip("a", "s", "x", say("red blue"), "red blue"), GoldenClip("b", "s", "x", say("red"), "red")]
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "model")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_number_of_one_tensor_is_found_before_anything_is_heard(model: Path, value: float) -> None:
    tensors = load_file(model / "model.safetensors")
    name = sorted(tensors)[-1]
    tensors[name].flat[-1] = value
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    (defect,) = find_defects(model)
    assert defect.code == "not-finite"
    assert name in defect.reason
    report = examine_model(model, GOLDEN)
    assert report.defects == (defect,)
    assert (report.wer.value, report.wall_s, report.probes) == (1.0, 0.0, ())


def test_files_that_do_not_fit_together_are_a_defect_of_another_kind(model: Path) -> None:
    assert find_defects(model) == ()
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"decoder_layers": 2}))
    assert [defect.code for defect in find_defects(model)] == ["not-a-model"]
    (model / "model.safetensors").write_bytes(b"x" * 100)
    assert [defect.code for defect in find_defects(model)] == ["not-a-model"]


def test_a_vocabulary_is_what_its_ids_stand_for_however_it_is_laid_out(model: Path) -> None:
    first = vocabulary_digest(model)
    raw = json.loads((model / "tokenizer.json").read_text())
    (model / "tokenizer.json").write_text(json.dumps(dict(reversed(raw.items())), indent=2))
    assert vocabulary_digest(model) == first
    vocab = raw["model"]["vocab"]
    one, other = sorted(vocab)[:2]
    vocab[one], vocab[other] = vocab[other], vocab[one]
    (model / "tokenizer.json").write_text(json.dumps(raw))
    assert vocabulary_digest(model) != first
    (model / "tokenizer.json").write_text("{}")
    with pytest.raises(ArtifactError, match="cannot be read"):
        vocabulary_digest(model)


def test_everything_that_a_gate_asks_for_is_in_the_report(model: Path) -> None:
    report = examine_model(model, GOLDEN)
    assert len(report.probes) >= 20
    assert [timing.clip_id for timing in report.timings] == ["b", "a"]
    assert report.footprint is not None
    assert report.footprint.size_bytes == size_of(model) == sum(path.stat().st_size for path in model.iterdir())
    assert 0 < report.footprint.n_tokens <= 2 * load_checkpoint(model).dims.n_text_ctx
    assert report.vocabulary_sha256 == vocabulary_digest(model)


def test_cost_grows_with_windows_and_tokens(model: Path) -> None:
    dims = load_checkpoint(model).dims
    once = operations(dims, n_windows=1, n_tokens=0)
    assert operations(dims, n_windows=3, n_tokens=0) == 3 * once
    # One block of width 32 at 100 positions with attention over both, and a vocabulary's worth of products.
    assert operations(dims, n_windows=0, n_tokens=1) == 14 * 32**2 + 2 * 100 * 32 + 32 * dims.n_vocab
    assert windows_of([1, 32_000, 32_001, 0], 32_000) == 5
