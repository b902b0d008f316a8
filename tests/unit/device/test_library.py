"""Recordings as a person looks at them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.fakes.device_rooms import tone
from tests.fakes.release_server import FakeServer
from tests.unit.device.conftest import Rooms

from projectone.device.clips import read_clip
from projectone.device.library import Fate, Library
from projectone.device.sent import Sent
from projectone.errors import DataError


@pytest.fixture
def library(rooms: Rooms) -> Library:
    return Library(rooms.recordings, rooms.outbox, read_clip)


def test_recordings_are_found_by_what_was_heard_and_by_what_was_said(rooms: Rooms, library: Library) -> None:
    first = rooms.record("Grüße an Ana", pitch_hz=300)
    second = rooms.record("call me at nine", pitch_hz=400)
    rooms.corrections.correct(second.recording_id, "call Ana at nine")
    assert [item.recording_id for item in library.search()] == [second.recording_id, first.recording_id]
    assert [item.text for item in library.search("ANA")] == ["call me at nine", "Grüße an Ana"]
    assert [item.text for item in library.search("grüße ana")] == ["Grüße an Ana"]
    assert [item.text for item in library.search("me nine")] == ["call me at nine"]
    assert library.search("%") == []
    assert len(library.search("a", limit=1)) == 1
    assert [item.text for item in library.search("a", skip=1)] == ["Grüße an Ana"]
    assert [item.text for item in library.search(skip=1)] == ["Grüße an Ana"]
    assert library.search(skip=2) == library.search("a", skip=2) == []
    assert library.n_recordings() == 2


def test_the_fate_of_a_recording_follows_what_the_person_allows(rooms: Rooms, library: Library) -> None:
    recording = rooms.record()

    def fate() -> Fate:
        return library.fate(rooms.recordings.find(recording.recording_id))

    assert fate().state == "uncorrected"
    rooms.corrections.correct(recording.recording_id, "one two three")
    assert fate().state == "kept"
    rooms.corrections.grant("corrections", "web", is_for_earlier=True)
    assert fate().state == "waiting"
    rooms.uploader.sync()
    sent = fate()
    assert sent.state == "sent"
    assert sent.left_at is not None
    rooms.corrections.withdraw("corrections")
    assert fate().state == "kept"


def test_taking_a_correction_back_takes_back_what_was_sent_before_it(rooms: Rooms, library: Library) -> None:
    recording = rooms.record()
    sent = Sent(rooms.database, rooms.recordings, rooms.outbox)

    def fate() -> Fate:
        return library.fate(rooms.recordings.find(recording.recording_id))

    rooms.corrections.grant("corrections", "web")
    first = rooms.corrections.correct(recording.recording_id, "one two three").sample_id
    rooms.uploader.sync()
    rooms.corrections.correct(recording.recording_id, "one two trees")
    assert (fate().state, fate().is_there, fate().is_earlier_there) == ("waiting", True, True)
    undone = sent.undo_recording(recording.recording_id)
    assert [(item.text, item.may_have_left) for item in undone] == [("one two three", True), ("one two trees", False)]
    assert (fate().state, fate().is_there, fate().is_to_be_deleted) == ("uncorrected", False, True)
    assert sent.undo_recording(recording.recording_id) == []
    rooms.uploader.sync()
    assert not fate().is_to_be_deleted
    assert [item.departure.whereabouts for item in sent.newest(9) if item.point.sample_id == first] == ["deleted"]


def test_a_deleted_recording_leaves_nothing_here_but_the_list_of_what_was_sent(rooms: Rooms) -> None:
    recording, kept = rooms.record("private words", pitch_hz=300), rooms.record("other words", pitch_hz=400)
    sent = Sent(rooms.database, rooms.recordings, rooms.outbox)
    rooms.corrections.grant("corrections", "web")
    rooms.corrections.correct(recording.recording_id, "sent words")
    rooms.uploader.sync()
    rooms.corrections.correct(recording.recording_id, "unsent words")
    assert [item.may_have_left for item in sent.delete_recording(recording)] == [True, False]
    assert [item.recording_id for item in rooms.recordings.newest()] == [kept.recording_id]
    assert not rooms.recordings.has_audio(recording.audio_sha256)
    assert rooms.recordings.has_audio(kept.audio_sha256)
    left = b"".join(path.read_bytes() for path in rooms.home.glob("device.sqlite*"))
    assert [text for text in (b"private words", b"sent words", b"unsent words", b"other words") if text in left] == [
        b"other words"
    ]
    assert [(item.point.text, item.departure.whereabouts) for item in sent.newest(9)] == [("", "to be deleted")]
    rooms.uploader.sync()
    assert sent.newest(9)[0].departure.whereabouts == "deleted"


def test_the_text_of_a_long_recording_may_be_long(rooms: Rooms) -> None:
    text = "word " * 999 + "word"
    long = rooms.recordings.add(read_clip(tone(61)), text=text, model_version="1.0.0", recorded_at=datetime.now(UTC))
    kept = rooms.corrections.correct(long.recording_id, text)
    assert (kept.text, kept.is_queued) == (text, False)
    with pytest.raises(DataError, match="at most 2000"):
        rooms.corrections.correct(rooms.record().recording_id, text)


def test_that_nothing_was_said_is_kept_here_and_takes_back_the_words_that_were_sent(
    rooms: Rooms, library: Library, server: FakeServer
) -> None:
    recording = rooms.record("thank you for watching")
    rooms.corrections.grant("corrections", "web")
    rooms.corrections.correct(recording.recording_id, "thank you")
    rooms.uploader.sync()
    kept = rooms.corrections.correct(recording.recording_id, " \n")
    assert (kept.text, kept.is_queued) == ("", False)
    assert "nothing was said is not sent" in str(kept.reason)
    found = rooms.recordings.find(recording.recording_id)
    assert (found.corrected_text, rooms.recordings.counts()["corrections"]) == ("", 1)
    assert rooms.uploader.sync().refused == 0
    assert server.samples == {}
    fate = library.fate(found)
    assert (fate.state, fate.is_silent, fate.is_there) == ("kept", True, False)
    assert rooms.corrections.never_offered("corrections") == []  # it is not said to wait for a consent


def test_what_somebody_else_can_be_heard_in_is_refused_here_with_its_reason(rooms: Rooms, library: Library) -> None:
    recording = rooms.record()
    rooms.corrections.grant("corrections", "web")
    rooms.corrections.correct(recording.recording_id, "one two three", others_present=True)
    found = library.fate(rooms.recordings.find(recording.recording_id))
    assert (found.state, found.others_present) == ("refused", True)
    assert found.reason


def test_sound_and_picture_of_a_recording(rooms: Rooms, library: Library) -> None:
    recording = rooms.record(seconds=0.5)
    assert library.sound(recording.recording_id)[:4] == b"RIFF"
    picture = library.peaks(recording.recording_id, 20)
    assert len(picture) == 20
    assert max(picture) == 100
    with pytest.raises(DataError):
        library.sound("ffff")
