"""The device's own engine in the numbers that its settings ask for."""

from pathlib import Path

import pytest
from tests.fakes.tiny_whisper import save_tiny, say

from projectone.device.settings import DeviceSettings
from projectone.device.wiring import _load_engine
from projectone.speech.int8 import Int8Whisper

pytest.importorskip("onnxruntime", reason="needs the extra int8")


def test_a_device_computes_in_eight_bits_if_it_is_set_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    windows = Int8Whisper.windows
    monkeypatch.setattr(Int8Whisper, "windows", lambda self, mels: used.append(len(mels)) or windows(self, mels))
    folder = save_tiny(tmp_path / "model")
    for numerics in ("float32", "int8"):
        settings = DeviceSettings.from_env({"HOME": "/h", "PROJECTONE_NUMERICS": numerics})
        engine = _load_engine(folder, settings)
        try:
            engine.transcribe(say("red blue"))
        finally:
            engine.close()
        assert bool(used) == (numerics == "int8")
