"""Real sound through saved packages, whole and damaged."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from tests.fakes.tiny_whisper import say, tiny_checkpoint

pytest.importorskip("coremltools", reason="needs the extra coreml")

from projectone.errors import ConversionError
from projectone.server.conversion.coreml.folder import save_whisperkit
from projectone.server.conversion.coreml.hearing import refuse_other_words
from projectone.server.conversion.coreml.saving import WEIGHTS
from projectone.server.conversion.tiers import refuse_other_words as refuse_in_tier

CLIPS = [say(text, seed=seed) for seed, text in enumerate(("red green", "blue"))]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whisperkit") / "folder"
    folder.mkdir()
    save_whisperkit(tiny_checkpoint(seed=2), folder, "float16")
    return folder


def test_packages_write_what_their_model_writes(packages: Path) -> None:
    n_alike, n_tokens = refuse_other_words(packages, CLIPS)
    assert n_tokens >= 20
    assert n_alike >= 0.95 * n_tokens


@pytest.mark.parametrize(
    ("model", "said"), [("MelSpectrogram", "come out as in the model"), ("AudioEncoder", "come out as in the model")]
)
def test_a_package_that_hears_otherwise_is_refused(model: str, said: str, packages: Path, tmp_path: Path) -> None:
    """A spectrogram that no weight of the model shows, and numbers that only float16 cannot hold."""
    folder = tmp_path / "damaged"
    shutil.copytree(packages, folder)
    blob = folder / f"{model}.mlpackage" / WEIGHTS
    content = bytearray(blob.read_bytes())
    # Each tensor has 64 bytes before it: a mark, its type, its size and where it begins.
    marks = [place for place in range(0, len(content), 64) if content[place : place + 4] == b"\xef\xbe\xad\xde"]
    _, _, n_bytes, start = max((struct.unpack_from("<IIQQ", content, place) for place in marks), key=lambda e: e[2])
    value = np.float16(60_000 if model == "AudioEncoder" else 0)
    content[start : start + n_bytes] = np.full(n_bytes // 2, value).tobytes()
    blob.write_bytes(content)
    with pytest.raises(ConversionError, match=said):
        refuse_in_tier(folder, "coreml-float16", CLIPS)
    refuse_in_tier(folder, "int8", CLIPS)  # no package of Core ML's: nothing is asked
