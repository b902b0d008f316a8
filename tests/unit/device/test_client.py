"""`DeviceClient`, wired as an app gets it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.fakes.device_rooms import text_model, tone
from tests.fakes.release_server import FakeServer

from projectone.device.client import DeviceClient
from projectone.device.clips import read_clip
from projectone.device.migrations import MIGRATIONS
from projectone.device.recordings import Recordings
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.errors import ArtifactError, DataError, SettingsError
from projectone.storage.blobs import FileBlobs
from projectone.storage.database import Database
from projectone.waveform.wav import encode_wav


def test_transcribing_keeps_the_recording_and_sends_nothing(client: DeviceClient, server: FakeServer) -> None:
    server.release(text_model("hello"))
    client.update()
    before = len(server.requests)
    recording = client.transcribe(tone())
    assert (recording.text, recording.model_version, recording.duration_s) == ("hello", "1.0.0", 0.5)
    assert client.recordings() == [recording]
    assert len(server.requests) == before


def test_a_recording_keeps_when_each_word_was_said(client: DeviceClient, server: FakeServer) -> None:
    server.release(text_model("Grüße an Ana"))
    client.update()
    words = client.transcribe(tone(0.3)).words
    (kept,) = client.recordings()
    assert [word.text for word in kept.words] == ["Grüße", "an", "Ana"]
    assert [(word.start_s, word.end_s, word.probability) for word in kept.words] == [
        pytest.approx((word.start_s, word.end_s, word.probability), abs=0.0005) for word in words
    ]


def test_recordings_of_an_older_version_have_no_words(tmp_path: Path) -> None:
    before = Database(tmp_path / "device.sqlite", MIGRATIONS[:7])
    before.execute("INSERT INTO recordings VALUES ('id', 'sha', 1.0, 'hello', '1.0.0', '2026-01-01T00:00:00+00:00')")
    before.close()
    after = Database(tmp_path / "device.sqlite", MIGRATIONS)
    (recording,) = Recordings(after, FileBlobs(tmp_path / "audio")).newest()
    assert (recording.text, recording.words, recording.signals) == ("hello", (), None)
    after.close()


def test_an_old_recording_is_heard_again_by_the_new_model(client: DeviceClient, server: FakeServer) -> None:
    server.release(text_model("won"), seq=1)
    client.update()
    recording = client.transcribe(tone())
    server.release(text_model("one"), seq=2, version="1.1.0")
    client.update()
    assert client.retranscribe(recording.recording_id) == "one"
    assert client.recordings()[0].text == "won"


def test_a_new_model_is_tried_on_the_users_own_recordings(client: DeviceClient, server: FakeServer) -> None:
    server.release(text_model("hello"), seq=1)
    client.update()
    client.transcribe(tone())
    server.release(text_model("deaf"), seq=2, version="1.1.0")
    assert client.update().status == "rejected"
    status = client.status()
    assert (status.model_version, [item.version for item in status.set_aside]) == ("1.0.0", ["1.1.0"])


def test_a_client_opened_again_goes_on(client: DeviceClient, server: FakeServer, tmp_path: Path) -> None:
    server.release(text_model("hello"))
    client.update()
    recording = client.transcribe(tone())
    client.grant("corrections", "demo")
    client.correct(recording.recording_id, "hello there")
    before = client.status()
    with open_client(DeviceSettings(home=before.home, server=server.url)) as again:
        status = again.status()
        assert (status.device_id, status.corrections, status.waiting) == (before.device_id, 1, 2)
        assert status.model_version == "1.0.0"


def test_the_home_is_private(client: DeviceClient) -> None:
    assert client.status().home.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
def test_other_rates_and_stereo_become_what_the_model_takes(rate_hz: int) -> None:
    times = np.arange(rate_hz) / rate_hz
    stereo = np.stack([np.sin(2 * np.pi * 440 * times), np.zeros(rate_hz)], axis=1).astype(np.float32) * 0.5
    clip = read_clip(encode_wav(stereo, rate_hz))
    assert clip.samples.dtype == np.float32
    assert clip.duration_s == pytest.approx(1.0, abs=0.01)
    spectrum = np.abs(np.fft.rfft(clip.samples))
    assert np.argmax(spectrum) * 16_000 / len(clip.samples) == pytest.approx(440, abs=2)


def test_a_missing_file_is_said_by_name(client: DeviceClient, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.wav"):
        client.transcribe(tmp_path / "nothing.wav")
    assert client.recordings() == []


@pytest.mark.parametrize("content", [b"", b"<html></html>", tone()[:50], encode_wav(np.zeros(0, dtype=np.float32))])
def test_what_is_no_sound_is_refused_and_not_kept(content: bytes, client: DeviceClient) -> None:
    with pytest.raises(DataError):
        client.transcribe(content)
    assert client.recordings() == []


def test_a_model_that_another_process_brought_is_taken_up(client: DeviceClient, server: FakeServer) -> None:
    server.release(text_model("won"), seq=1)
    client.update()
    assert client.transcribe(tone()).text == "won"
    server.release(text_model("one"), seq=2, version="1.1.0")
    settings = DeviceSettings(home=client.status().home, server=server.url, release_root=server.root)
    with open_client(settings) as other:
        assert other.update().status == "updated"
    assert client.transcribe(tone()).text == "won"
    assert client.update().status == "current"
    assert client.transcribe(tone()).text == "one"


def test_the_model_is_loaded_before_it_is_needed_and_that_counts_as_no_use(
    client: DeviceClient, server: FakeServer
) -> None:
    with pytest.raises(ArtifactError):
        client.prepare()
    server.release(text_model("hello"))
    client.update()
    before = client.health()
    client.prepare()
    assert client.health() == before
    assert client.recordings() == []


def test_a_folder_that_holds_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    (shared / "minutes.txt").write_text("somebody's")
    with pytest.raises(SettingsError, match=r"expected an empty folder or one of this app.*minutes\.txt"):
        open_client(DeviceSettings(home=shared))
    assert shared.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in shared.iterdir()] == ["minutes.txt"]
