"""Real packed models in a real device: it takes its tier's form, and the default one where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.release_server import FakeServer, running
from tests.fakes.tiny_whisper import save_tiny, say

from projectone.device.settings import DeviceSettings
from projectone.device.wiring import _load_engine, open_client
from projectone.server.conversion.tiers import write_tier


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(("wanted", "installed"), [("int4", "int4"), ("int8", "float16")])
def test_a_device_installs_its_form_of_the_model_and_computes_with_it(
    wanted: str, installed: str, tmp_path: Path
) -> None:
    forms = {"float16": save_tiny(tmp_path / "float16", seed=1), "int4": tmp_path / "int4"}
    forms["int4"].mkdir()
    write_tier(forms["float16"], "int4", forms["int4"])
    with running(FakeServer()) as server:
        settings = DeviceSettings(home=tmp_path / "home", server=server.url, release_root=server.root, tier=wanted)
        for tier, folder in forms.items():
            server.release(files_of(folder), seq=1, version="1.0.0", tier=tier)
        with open_client(settings) as client:
            report = client.update()
            assert report.status == "updated"
            assert report.received_bytes >= sum(len(content) for content in files_of(forms[installed]).values())
            clip = say("red green", seed=3)
            heard = client.transcribe_only(clip).text
    weights = (tmp_path / "home" / "models" / "releases" / "1" / "model.safetensors").read_bytes()
    assert weights == (forms[installed] / "model.safetensors").read_bytes()
    engine = _load_engine(forms[installed], settings)
    try:
        assert heard == engine.transcribe(clip).text
    finally:
        engine.close()
