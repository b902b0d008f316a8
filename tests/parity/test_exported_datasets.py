"""Hugging Face `datasets` opens what `corpus export` writes: the same samples, as audio."""

from __future__ import annotations

import io
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.server.corpus.test_datasheet import a_snapshot, corpus
from tests.unit.server.corpus.test_export import PEOPLE

from projectone.server.corpus.export import EXPORT_FORMATS, ExportFormat, export_rows, write_export
from projectone.waveform.wav import encode_wav, parse_wav

datasets = pytest.importorskip("datasets", reason="needs the parity extra")
pytest.importorskip("torch", reason="needs the parity extra")
pytest.importorskip("pyarrow", reason="needs the export extra")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]


def sound(sha256: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(int(sha256[:8], 16)).uniform(-0.5, 0.5, 1600).astype(np.float32)


@pytest.fixture(autouse=True)
def _codec_that_is_only_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` 5 imports torchcodec before it looks at a file, and torchcodec wants FFmpeg; neither is used."""
    codec = types.ModuleType("torchcodec.encoders")
    codec.AudioEncoder = None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchcodec", types.ModuleType("torchcodec"))
    monkeypatch.setitem(sys.modules, "torchcodec.encoders", codec)
    monkeypatch.setattr(datasets.config, "TORCHCODEC_AVAILABLE", False)


@pytest.mark.parametrize("kind", EXPORT_FORMATS)
def test_the_real_library_reads_every_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: ExportFormat
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    items, rows = corpus(*PEOPLE)
    out = tmp_path / "copy"
    out.mkdir()
    write_export(a_snapshot(), items, rows, lambda sha256: encode_wav(sound(sha256)), out, kind=kind)
    opened = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert {split: len(opened[split]) for split in opened} == {"train": 11, "validation": 1}
    audio = opened["train"].features["audio"]
    assert isinstance(audio, datasets.Audio)
    if kind == "parquet":
        assert audio.sampling_rate == 16_000
    written = {row.id: row for row in export_rows(a_snapshot(), items, rows)}
    for split in opened:
        # Undecoded: decoding is torchcodec's affair, and needs libraries that pip does not install.
        for row in opened[split].cast_column("audio", datasets.Audio(decode=False)):
            expected = written.pop(row["id"])
            assert (row["text"], row["speaker"], row["accent"]) == (expected.text, expected.speaker, expected.accent)
            content = row["audio"]["bytes"] or Path(row["audio"]["path"]).read_bytes()
            heard = parse_wav(io.BytesIO(content).read()).samples[:, 0]
            np.testing.assert_array_equal(heard, parse_wav(encode_wav(sound("0" * 64))).samples[:, 0])
    assert written == {}
