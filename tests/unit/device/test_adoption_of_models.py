"""The whole device and a new model: what the user corrected here decides whether it stays."""

from __future__ import annotations

from tests.fakes.device_rooms import text_model, tone
from tests.fakes.release_server import FakeServer

from projectone.device.client import DeviceClient

CORRECTED = [f"please call {name} at nine" for name in ("ana", "bo", "cem", "dee", "eve", "fay")]


def with_own_recordings(client: DeviceClient, server: FakeServer) -> None:
    """A first model, and six recordings that it heard nearly right."""
    server.release(text_model("please call at nine"), seq=1, version="1.0.0")
    assert client.update().status == "updated"
    for number, text in enumerate(CORRECTED):
        client.correct(client.transcribe(tone(pitch_hz=300.0 + number)).recording_id, text)


def test_a_model_that_hears_this_user_worse_is_not_taken(client: DeviceClient, server: FakeServer) -> None:
    with_own_recordings(client, server)
    server.release(text_model("please tall at mine"), seq=2, version="1.1.0")
    report = client.update()
    assert (report.status, report.to_version) == ("rejected", "1.0.0")
    assert "6 of your own recordings it gets 18 of 30 words wrong, model 1.0.0 6" in (report.reason or "")
    assert client.transcribe(tone()).model_version == "1.0.0"
    assert client.update().status == "set-aside"


def test_a_model_that_hears_this_user_better_is_taken(client: DeviceClient, server: FakeServer) -> None:
    with_own_recordings(client, server)
    server.release(text_model("please call ana at nine"), seq=2, version="1.1.0")
    assert client.update().status == "updated"
