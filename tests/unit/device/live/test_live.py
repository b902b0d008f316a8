"""A recording from its first piece to its place among the others."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from projectone.device.clips import read_clip
from projectone.device.live import Live, Partials, Spools
from projectone.device.recordings import M001_RECORDINGS, M008_WORDS, Recording, Recordings
from projectone.errors import ArtifactError, DataError, LeaseError
from projectone.storage.blobs import FileBlobs
from projectone.storage.database import Database
from projectone.waveform.wav import parse_wav

SOUND = (0.3 * np.sin(np.arange(24_000) / 5) * 32767).astype("<i2").tobytes()  # 1.5 s
NOW = datetime(2026, 11, 22, 5, 0, 0, 123456, tzinfo=UTC)


class Desk:
    """Live recording over real rows, sound and spools; what is heard is the number of samples."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.database = Database(home / "device.sqlite", (M001_RECORDINGS, M008_WORDS))
        self.recordings = Recordings(self.database, FileBlobs(home / "audio"))
        self.now, self.seconds = NOW, 0.0
        self.problem: Exception | None = None
        self.live = self.start()

    def start(self) -> Live:
        return Live(
            Spools(self.home / "live"),
            Partials(lambda samples: "seven"),
            keep=self.keep,
            kept_at=self.recordings.said_at,
            clock=self.tick,
            timer=lambda: self.seconds,
        )

    def keep(self, wav: bytes, said_at: datetime) -> Recording:
        if self.problem is not None:
            raise self.problem
        clip = read_clip(wav)
        return self.recordings.add(clip, text=str(clip.samples.size), model_version="1.0.0", recorded_at=said_at)

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def spools(self) -> list[Path]:
        return sorted((self.home / "live").glob("*"))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    yield made
    made.live.close()
    made.database.close()


def test_what_was_said_becomes_a_recording_like_any_other(desk: Desk) -> None:
    live_id = desk.live.begin()
    state = desk.live.append(live_id, 0, SOUND[:32000])
    assert (state.n_bytes, state.seconds, state.safe_s) == (32000, 1.0, 1.0)
    assert state.level_db == pytest.approx(20 * np.log10(0.3 / 2**0.5), abs=0.1)
    desk.live.append(live_id, 32000, SOUND[32000:])
    recording = desk.live.finish(live_id)
    assert desk.recordings.newest() == [recording]
    assert recording.text == "24000"
    assert recording.recorded_at == NOW + timedelta(seconds=1)
    kept = parse_wav(desk.recordings.audio(recording.audio_sha256)).samples[:, 0]
    assert np.array_equal(kept, np.frombuffer(SOUND, "<i2") / np.float32(32768))
    assert desk.spools() == []


def test_finishing_again_gives_the_same_recording(desk: Desk) -> None:
    live_id = desk.live.begin()
    desk.live.append(live_id, 0, SOUND)
    assert desk.live.finish(live_id) == desk.live.finish(live_id)
    with pytest.raises(DataError, match="no such recording"):
        desk.live.append(live_id, len(SOUND), SOUND)


def test_what_cannot_be_heard_now_stays_and_is_finished_later(desk: Desk) -> None:
    live_id = desk.live.begin()
    desk.live.append(live_id, 0, SOUND)
    desk.problem = ArtifactError("no model is installed")
    with pytest.raises(ArtifactError):
        desk.live.finish(live_id)
    desk.problem = None
    assert desk.live.finish(live_id).duration_s == 1.5


def test_what_was_cut_off_is_offered_gone_on_with_and_finished(desk: Desk) -> None:
    live_id = desk.live.begin()
    desk.live.append(live_id, 0, SOUND)
    assert desk.live.unfinished() == []  # it is being recorded
    desk.live.close()
    desk.live = desk.start()
    (left,) = desk.live.unfinished()
    assert (left.live_id, left.seconds, left.began_at) == (live_id, 1.5, NOW + timedelta(seconds=1))
    with pytest.raises(DataError, match=f"expected sound from byte {len(SOUND)} on"):
        desk.live.append(live_id, len(SOUND) + 2, SOUND)
    assert desk.live.append(live_id, len(SOUND), SOUND).seconds == 3.0
    assert desk.live.finish(live_id).duration_s == 3.0
    assert desk.live.unfinished() == []


def test_a_crash_between_the_recording_and_its_spool_makes_no_second_one(desk: Desk) -> None:
    live_id = desk.live.begin()
    desk.live.append(live_id, 0, SOUND)
    (spool,) = desk.spools()
    recording = desk.live.finish(live_id)
    spool.write_bytes(SOUND)  # as if the power had gone before it was removed
    assert desk.live.finish(live_id) == recording
    assert desk.spools() == []
    spool.write_bytes(SOUND)
    assert desk.live.unfinished() == []
    assert desk.spools() == []
    assert desk.recordings.newest() == [recording]


def test_a_second_process_is_refused_and_is_not_offered_it(desk: Desk) -> None:
    live_id = desk.live.begin()
    desk.live.append(live_id, 0, SOUND)
    other = desk.start()
    for act in (other.finish, other.discard, other.state):
        with pytest.raises(LeaseError, match="another process is recording this"):
            act(live_id)
    assert other.unfinished() == []
    other.close()
    assert desk.live.finish(live_id).duration_s == 1.5


def test_what_is_discarded_is_gone_and_what_is_empty_is_no_recording(desk: Desk) -> None:
    live_id = desk.live.begin()
    desk.live.append(live_id, 0, SOUND)
    desk.live.discard(live_id)
    empty = desk.live.begin()
    with pytest.raises(DataError, match="nothing was recorded"):
        desk.live.finish(empty)
    assert desk.spools() == []
    assert desk.recordings.newest() == []


def test_a_page_that_was_closed_leaves_a_recording_that_is_offered(desk: Desk) -> None:
    live_id = desk.live.begin()
    desk.live.append(live_id, 0, SOUND)
    desk.seconds += 31
    assert [left.live_id for left in desk.live.unfinished()] == [live_id]
    for _ in range(5):  # more than a home has in hand at once: the oldest is set aside
        desk.live.begin()
    assert live_id in [left.live_id for left in desk.live.unfinished()]
    assert desk.live.append(live_id, len(SOUND), SOUND).seconds == 3.0


def test_the_text_comes_while_it_is_spoken(desk: Desk) -> None:
    live_id = desk.live.begin()
    desk.live.append(live_id, 0, SOUND)
    for _ in range(3000):
        if desk.live.partial(live_id).text:
            break
        threading.Event().wait(0.01)
    assert desk.live.partial(live_id).text == "seven"
    desk.live.discard(live_id)
    assert desk.live.partial(live_id).text == ""
