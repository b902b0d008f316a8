"""What a person decides on the pages, and what the real server does about it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.together.test_device_and_api import Backend, backend  # noqa: F401 - a server's home, and its API
from tests.unit.device.test_donation import voice
from tests.unit.device.web.pages import Pages

from projectone.contracts.consent import CONSENT_TEXTS
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.waveform.wav import encode_wav

YES = {"is_adult": True, "version": CONSENT_TEXTS["voice_donation"].version}


def read_aloud(pages: Pages, seconds: float) -> bytes:
    wav = encode_wav(voice(seconds))
    script_id = pages.get("/api/donation?ask=1")["script"]["script_id"]
    status, kept = pages.send("PUT", f"/api/donation/{script_id}", wav)
    assert (status, kept["is_queued"]) == (200, True)
    return wav


@pytest.mark.slow
def test_what_is_deleted_and_withdrawn_on_the_page_is_gone_on_the_server(
    tmp_path: Path,
    backend: Backend,  # noqa: F811
) -> None:
    settings = DeviceSettings(
        home=tmp_path / "device",
        server=backend.url,
        enrolment_code=backend.facts["enrolment_code"],
        release_keys=(backend.facts["release_public_key"],),
        release_root=Path(backend.facts["release_root_file"]).read_bytes(),
    )
    with open_client(settings) as client:
        pages = Pages(client)
        pages.ask("PUT", "/api/consents/voice_donation", YES)
        sounds = [read_aloud(pages, seconds) for seconds in (3.0, 4.0)]
        assert pages.do("/api/sync")["result"]["sent"] == 2
        assert sorted(backend.opened_clips()) == sorted(sounds)
        newest = pages.get("/api/sent")["sent"][0]
        assert pages.do(f"/api/sent/{newest['sample_id']}/uses")["result"]["models"] == []
        pages.ask("DELETE", f"/api/sent/{newest['sample_id']}")
        assert pages.do("/api/sync")["result"]["notices"] == 1
        assert backend.opened_clips() == sounds[:1]
        pages.ask("DELETE", "/api/consents/voice_donation")
        assert pages.do("/api/sync")["result"]["waiting"] == 0
        assert backend.opened_clips() == []
        assert [item["whereabouts"] for item in pages.get("/api/sent")["sent"]] == ["deleted", "deleted"]
        (receipt,) = pages.get("/api/erasures")["erasures"]
        assert receipt["is_complete"] and receipt["n_samples"] == 2
        assert "Signature holds" in pages.get("/privacy")
