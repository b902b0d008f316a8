"""What left this device can be seen, and each of it taken back: offline, under way, and after a kill."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.device_rooms import tone
from tests.fakes.release_server import FakeServer
from tests.unit.device.conftest import Rooms
from tests.unit.device.test_cli import _device, run  # noqa: F401 - the environment of a device

from projectone.device.given import Given
from projectone.device.migrations import MIGRATIONS
from projectone.device.outbox import Outbox
from projectone.device.sent import Sent
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.errors import DataError
from projectone.storage.database import Database


def sent_of(rooms: Rooms) -> Sent:
    return Sent(rooms.database, rooms.recordings, rooms.outbox)


def send_two(rooms: Rooms) -> None:
    rooms.corrections.grant("corrections", "cli")
    for number, text in enumerate(("one", "two")):
        rooms.corrections.correct(rooms.record(pitch_hz=400 + 50 * number).recording_id, text)
    assert rooms.uploader.sync().sent == 2


def texts(server: FakeServer) -> list[str]:
    return [correction.text for correction, _ in server.samples.values()]


def whereabouts(rooms: Rooms) -> list[tuple[str, str]]:
    return [(item.point.text, item.whereabouts) for item in sent_of(rooms).newest(10)]


def test_one_thing_is_taken_back_while_the_server_is_away(rooms: Rooms, server: FakeServer) -> None:
    send_two(rooms)
    assert whereabouts(rooms) == [("two", "sent"), ("one", "sent")]
    undone = sent_of(rooms).undo("last")
    assert (undone.text, undone.may_have_left) == ("two", True)
    server.faults.answer = lambda method, path: (503, "storage")
    assert rooms.uploader.sync().waiting == 1
    assert whereabouts(rooms) == [("two", "to be deleted"), ("one", "sent")]
    server.faults.answer = lambda method, path: None
    report = rooms.uploader.sync()
    assert (report.notices, report.waiting) == (1, 0)
    assert texts(server) == ["one"]
    assert set(server.consents.values()) == {True}
    assert whereabouts(rooms) == [("two", "deleted"), ("one", "sent")]
    assert rooms.recordings.counts()["uploaded"] == 1
    sent_of(rooms).undo(str(undone.sample_id)[:8])  # again: nothing more to tell
    assert rooms.uploader.sync().notices == 0


def test_what_never_left_is_taken_back_without_a_word(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    recording = rooms.record()
    rooms.corrections.correct(recording.recording_id, "one")
    assert not sent_of(rooms).undo("last").may_have_left
    rooms.uploader.sync()
    assert (server.samples, server.asked("DELETE", "/v1/samples")) == ({}, 0)
    assert rooms.recordings.find(recording.recording_id).corrected_text is None
    assert whereabouts(rooms) == []
    assert rooms.corrections.correct(recording.recording_id, "one").is_queued  # a second thought


@pytest.mark.parametrize("is_lost", [True, False])
def test_what_is_taken_back_under_way_does_not_stay_there(rooms: Rooms, server: FakeServer, is_lost: bool) -> None:
    rooms.corrections.grant("corrections", "cli")
    rooms.corrections.correct(rooms.record().recording_id, "one")

    def undo_it() -> None:
        sent_of(rooms).undo("last")

    server.faults.before_storing = undo_it
    server.faults.is_losing_replies = lambda method, path: is_lost and method == "PUT" and "samples" in path
    rooms.uploader.sync()
    server.faults.is_losing_replies = lambda method, path: False
    rooms.uploader.sync()
    assert server.samples == {}
    assert whereabouts(rooms) == [("one", "deleted")]


def test_a_kill_while_the_server_is_told_tells_it_again(rooms: Rooms, server: FakeServer) -> None:
    send_two(rooms)
    sent_of(rooms).undo("last")
    entry = rooms.outbox.claim()  # and then nothing: the process is gone
    assert entry is not None and entry.kind == "deletion"
    assert rooms.uploader.sync().notices == 1
    assert texts(server) == ["one"]


def test_everything_that_was_sent_is_taken_back_at_once_and_what_waits_is_not(rooms: Rooms, server: FakeServer) -> None:
    send_two(rooms)
    rooms.corrections.correct(rooms.record(pitch_hz=700).recording_id, "three")
    assert len(sent_of(rooms).undo_all()) == 2
    assert whereabouts(rooms) == [("two", "to be deleted"), ("one", "to be deleted")]
    rooms.uploader.sync()
    assert texts(server) == ["three"]
    assert [item.text for item in sent_of(rooms).undo_all()] == ["three"]


def test_after_a_withdrawal_a_sample_is_to_be_deleted_until_the_server_said_so(
    rooms: Rooms, server: FakeServer
) -> None:
    send_two(rooms)
    sent_of(rooms).undo("last")
    rooms.corrections.withdraw("corrections")
    assert {where for _, where in whereabouts(rooms)} == {"to be deleted"}
    rooms.uploader.sync()
    assert {where for _, where in whereabouts(rooms)} == {"deleted"}


def test_it_is_known_when_something_left_and_under_which_consent(rooms: Rooms, server: FakeServer) -> None:
    began = datetime.now(UTC)
    send_two(rooms)
    receipt = rooms.consent.current("corrections")
    (item, _) = sent_of(rooms).newest(10)
    assert receipt is not None and item.departure.receipt_id == receipt.receipt_id
    assert item.departure.left_at is not None and began <= item.departure.left_at <= datetime.now(UTC)
    assert item.departure.erased_at is None
    sent_of(rooms).undo("last")
    rooms.uploader.sync()
    (item, _) = sent_of(rooms).newest(10)
    assert item.departure.erased_at is not None and item.departure.left_at is not None
    assert item.departure.erased_at >= item.departure.left_at


def test_what_is_shown_of_a_sample_is_what_the_server_got(rooms: Rooms, server: FakeServer) -> None:
    send_two(rooms)
    given = Given(rooms.recordings, rooms.outbox)
    (correction, wav) = next(pair for pair in server.samples.values() if pair[0].text == "two")
    assert (given.letter("last"), given.sound("last")) == (correction.to_bytes(), wav)
    sent_of(rooms).undo("last")
    assert given.letter(str(correction.sample_id)) == b""


def test_a_withdrawal_takes_the_place_of_an_undo(rooms: Rooms, server: FakeServer) -> None:
    send_two(rooms)
    sent_of(rooms).undo("last")
    rooms.corrections.withdraw("corrections")
    assert rooms.uploader.sync().notices == 1
    assert (server.samples, server.asked("DELETE", "/v1/samples")) == ({}, 0)


def test_a_mark_that_comes_too_late_deletes_what_was_sent_without_it(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    recording = rooms.record()
    rooms.corrections.correct(recording.recording_id, "one")
    rooms.uploader.sync()
    kept = rooms.corrections.correct(recording.recording_id, "one", others_present=True)
    assert "makes the server delete it" in (kept.reason or "")
    rooms.uploader.sync()
    assert server.samples == {}


def test_what_is_unknown_is_not_taken_back(rooms: Rooms) -> None:
    for named in ("last", "0123abcd", "x"):
        with pytest.raises(DataError, match="projectone sent"):
            sent_of(rooms).undo(named)


def test_a_line_from_before_there_was_an_undo_is_kept(tmp_path: Path) -> None:
    before = Database(tmp_path / "device.sqlite", MIGRATIONS[:5])
    before.execute(
        "INSERT INTO outbox (entry_id, kind, scope, receipt_id, payload)"
        " VALUES ('e', 'consent', 'corrections', 'r', x'')"
    )
    before.close()
    after = Database(tmp_path / "device.sqlite", MIGRATIONS)
    assert Outbox(after).counts("consent")["waiting"] == 1
    after.close()


def test_both_commands_say_what_is_where(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_client(DeviceSettings(home=tmp_path / "device", server=server.url, enrolment_code="code")) as client:
        client.grant("voice_donation", "cli")
        client.donating.give(tone(), "the quick brown fox")
    assert run(capsys, "sent")[1] == {"sent": []}
    run(capsys, "sync")
    ((item,),) = run(capsys, "sent")[1].values()
    assert (item["text"], item["kind"], item["whereabouts"]) == ("the quick brown fox", "donation", "sent")
    shown = run(capsys, "sent", item["sample_id"], "--wav", str(tmp_path / "it.wav"))[1]
    ((correction, wav),) = server.samples.values()
    assert (shown["raw"].encode(), (tmp_path / "it.wav").read_bytes()) == (correction.to_bytes(), wav)
    assert run(capsys, "undo")[0] == run(capsys, "undo", "last", "--all")[0] == 2
    code, facts = run(capsys, "undo", item["sample_id"][:8])
    assert (code, facts["may_have_left"]) == (0, True)
    run(capsys, "sync")
    assert server.samples == {}
    assert run(capsys, "sent")[1]["sent"][0]["whereabouts"] == "deleted"
    assert run(capsys, "undo", "--all")[1] == {"undone": []}
