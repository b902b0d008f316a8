"""From a correction to the server: what goes, what stays, what happens when things go wrong on the way."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tests.fakes.device_rooms import tone
from tests.fakes.release_server import FakeServer
from tests.unit.device.conftest import Rooms, open_rooms

from projectone.contracts.base import sha256_hex
from projectone.contracts.signatures import verify_erasure
from projectone.device.clips import read_clip
from projectone.device.recordings import Clip
from projectone.errors import ConsentError, DataError, LeaseError, SettingsError
from projectone.storage.locks import exclusive_lock


def test_a_correction_with_consent_arrives_as_it_was_made(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    recording = rooms.record("won too three")
    kept = rooms.corrections.correct(recording.recording_id, "  one  two three ")
    assert (kept.text, kept.is_queued) == ("one two three", True)
    report = rooms.uploader.sync()
    assert (report.sent, report.refused, report.waiting, report.notices) == (1, 0, 0, 1)
    ((correction, wav),) = server.samples.values()
    assert (correction.text, correction.heard, correction.heard_by) == ("one two three", "won too three", "1.0.0")
    assert sha256_hex(wav) == correction.audio.sha256 == recording.audio_sha256
    (point,) = rooms.recordings.points()
    assert point.uploaded
    assert rooms.uploader.sync().sent == 0
    assert rooms.recordings.audio(recording.audio_sha256) == wav  # sending removes nothing here


def test_without_consent_nothing_is_queued_and_no_request_is_made(rooms: Rooms, server: FakeServer) -> None:
    kept = rooms.corrections.correct(rooms.record().recording_id, "one two three")
    assert not kept.is_queued
    assert "has not agreed" in (kept.reason or "")
    assert rooms.uploader.sync().waiting == 0
    assert server.requests == []
    assert [point.uploaded for point in rooms.recordings.points()] == [False]


def test_what_was_corrected_before_agreeing_stays_unless_it_is_asked_for(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.correct(rooms.record().recording_id, "one two three")
    assert rooms.corrections.grant("corrections", "cli").n_queued == 0
    rooms.uploader.sync()
    assert server.samples == {}
    assert len(rooms.corrections.never_offered("corrections")) == 1
    assert rooms.corrections.grant("corrections", "cli", is_for_earlier=True).n_queued == 1
    rooms.uploader.sync()
    assert len(server.samples) == 1


def test_a_donation_needs_its_own_consent(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    clip = read_clip(tone())
    with pytest.raises(ConsentError):
        rooms.corrections.donate(clip, "the quick brown fox")
    assert rooms.recordings.points() == []
    rooms.corrections.grant("voice_donation", "cli")
    assert rooms.corrections.donate(clip, "the quick brown fox", script_id="fox").is_queued
    rooms.uploader.sync()
    ((correction, _),) = server.samples.values()
    assert (correction.kind, correction.heard, correction.script_id) == ("donation", None, "fox")


def test_correcting_again_before_sending_sends_the_last_text_only(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    recording = rooms.record()
    for text in ("one two", "one two three", "one two three"):
        rooms.corrections.correct(recording.recording_id, text)
    assert rooms.uploader.sync().sent == 1
    assert [correction.text for correction, _ in server.samples.values()] == ["one two three"]
    rooms.corrections.correct(recording.recording_id, "one two three four")
    assert rooms.uploader.sync().sent == 1
    assert rooms.recordings.find(recording.recording_id).corrected_text == "one two three four"


def test_a_long_recording_is_corrected_but_not_sent(rooms: Rooms) -> None:
    rooms.corrections.grant("corrections", "cli")
    kept = rooms.corrections.correct(rooms.record(seconds=61).recording_id, "a long story")
    assert not kept.is_queued
    assert "60 s" in (kept.reason or "")


@pytest.mark.parametrize("text", ["...", "a\x00b", "x" * 2001])
def test_a_text_that_nobody_can_have_said_is_refused(text: str, rooms: Rooms) -> None:
    with pytest.raises(DataError):
        rooms.corrections.correct(rooms.record().recording_id, text)
    assert rooms.recordings.points() == []


def test_withdrawing_empties_the_outbox_and_erases_on_the_server(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    rooms.corrections.correct(rooms.record().recording_id, "one")
    rooms.uploader.sync()
    rooms.corrections.correct(rooms.record(pitch_hz=500).recording_id, "two")
    rooms.corrections.withdraw("corrections")
    assert rooms.outbox.counts("sample")["waiting"] == 0
    report = rooms.uploader.sync()
    assert (report.sent, report.notices, report.waiting) == (0, 1, 0)
    assert server.samples == {}
    assert set(server.consents.values()) == {False}
    assert [point.uploaded for point in rooms.recordings.points()] == [False, False]


def test_the_server_certifies_the_erasure_in_the_same_sync(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    rooms.corrections.correct(rooms.record().recording_id, "one")
    rooms.uploader.sync()
    receipt = rooms.corrections.withdraw("corrections")
    rooms.uploader.sync()
    assert receipt is not None
    (signed,) = rooms.consent.erasures().values()
    assert verify_erasure({signed.key_id: server.public_key}, signed).receipt_id == receipt.receipt_id


def test_a_server_that_certifies_nothing_has_erased_all_the_same(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    rooms.corrections.correct(rooms.record().recording_id, "one")
    rooms.uploader.sync()
    rooms.corrections.withdraw("corrections")
    server.faults.answer = lambda method, path: (404, "not-found") if path.endswith("/erasure") else None
    assert rooms.uploader.sync().waiting == 0
    assert server.samples == {}
    assert rooms.consent.erasures() == {}


def test_a_certificate_that_is_lost_on_the_way_is_fetched_by_the_next_sync(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    rooms.corrections.correct(rooms.record().recording_id, "one")
    rooms.uploader.sync()
    rooms.corrections.withdraw("corrections")
    server.faults.is_losing_replies = lambda method, path: path.endswith("/erasure")
    assert rooms.uploader.sync().waiting == 1
    server.faults.is_losing_replies = lambda method, path: False
    assert rooms.uploader.sync().waiting == 0
    assert len(rooms.consent.erasures()) == 1


def test_a_withdrawal_survives_being_offline(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    rooms.corrections.correct(rooms.record().recording_id, "one")
    rooms.uploader.sync()
    server.faults.answer = lambda method, path: (503, "away")
    rooms.corrections.withdraw("corrections")
    report = rooms.uploader.sync()
    assert report.waiting == 1
    assert "503" in (report.problem or "")
    rooms.close()
    server.faults.answer = lambda method, path: None
    later = open_rooms(rooms.home, server.url)
    assert later.uploader.sync().notices == 1
    assert server.samples == {}
    later.close()


def test_a_consent_that_was_never_told_needs_no_withdrawal(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    rooms.corrections.correct(rooms.record().recording_id, "one")
    rooms.corrections.withdraw("corrections")
    assert rooms.uploader.sync().waiting == 0
    assert server.requests == []


def test_a_second_consent_does_not_send_what_was_withdrawn(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    recording = rooms.record()
    rooms.corrections.correct(recording.recording_id, "one")
    rooms.corrections.withdraw("corrections")
    rooms.corrections.grant("corrections", "cli", is_for_earlier=True)
    rooms.uploader.sync()
    assert server.samples == {}
    assert rooms.corrections.correct(recording.recording_id, "one").is_queued  # corrected anew, under the new consent
    rooms.uploader.sync()
    assert len(server.samples) == 1


def test_consent_is_asked_for_once_more_just_before_the_bytes_leave(rooms: Rooms, server: FakeServer) -> None:
    """The consent goes between the claim of a sample and its request, as another process could do."""
    rooms.corrections.grant("corrections", "cli")
    rooms.corrections.correct(rooms.record().recording_id, "one")
    original = rooms.recordings.audio

    def withdraw_meanwhile(sha256: str) -> bytes:
        other = open_rooms(rooms.home, server.url)
        other.corrections.withdraw("corrections")
        other.close()
        return original(sha256)

    rooms.recordings.audio = withdraw_meanwhile  # type: ignore[method-assign]
    rooms.uploader.sync()
    assert server.asked("PUT", "/v1/samples") == 0
    assert server.samples == {}
    rooms.uploader.sync()
    assert set(server.consents.values()) == {False}


def test_a_withdrawal_while_the_bytes_are_under_way_wins(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    rooms.corrections.correct(rooms.record().recording_id, "one")
    server.faults.before_storing = lambda: rooms.corrections.withdraw("corrections") and None
    rooms.uploader.sync()
    rooms.uploader.sync()
    assert server.samples == {}
    assert [point.uploaded for point in rooms.recordings.points()] == [False]


def test_races_of_withdrawal_and_upload_leave_nothing_on_the_server(rooms: Rooms, server: FakeServer) -> None:
    for number in range(12):
        rooms.corrections.grant("corrections", "cli")
        for pitch_hz in (300, 400, 500):
            rooms.corrections.correct(rooms.record(pitch_hz=pitch_hz + number).recording_id, "one")
        sender = threading.Thread(target=rooms.uploader.sync)
        sender.start()
        while server.asked("PUT", "/v1/samples") <= number and sender.is_alive():
            pass
        rooms.corrections.withdraw("corrections")
        sender.join()
        rooms.uploader.sync()
        assert server.samples == {}
    assert not any(point.uploaded for point in rooms.recordings.points())


def test_a_lost_reply_leads_to_the_same_bytes_again_and_one_sample(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    rooms.corrections.correct(rooms.record().recording_id, "one")
    server.faults.is_losing_replies = lambda method, path: path.startswith("/v1/samples")
    report = rooms.uploader.sync()
    assert (report.sent, report.waiting) == (0, 1)
    server.faults.is_losing_replies = lambda method, path: False
    assert rooms.uploader.sync().sent == 1
    assert len(server.samples) == 1
    assert server.asked("PUT", "/v1/samples") == 4  # three attempts, then one


def test_a_refused_sample_is_kept_with_its_reason_and_not_sent_again(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    kept = rooms.corrections.correct(rooms.record().recording_id, "one")
    rooms.corrections.correct(rooms.record(pitch_hz=500).recording_id, "two")
    refused = f"/v1/samples/{kept.sample_id}"
    server.faults.answer = lambda method, path: (422, "silence") if path == refused else None
    report = rooms.uploader.sync()
    assert (report.sent, report.refused, report.refusals) == (1, 1, ((kept.sample_id, "silence"),))
    assert rooms.uploader.sync().refused == 0
    assert server.asked("PUT", refused) == 1
    assert rooms.outbox.refusals()[0][1] == "silence"


def test_a_sample_on_which_the_server_chokes_does_not_hold_up_the_others(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    bad = rooms.corrections.correct(rooms.record().recording_id, "one")
    for pitch_hz in (500, 600, 700):
        rooms.corrections.correct(rooms.record(pitch_hz=pitch_hz).recording_id, "two")
    choking = f"/v1/samples/{bad.sample_id}"
    server.faults.answer = lambda method, path: (500, "oops") if path == choking else None
    assert rooms.uploader.sync().waiting == 4
    report = rooms.uploader.sync()
    assert (report.sent, report.waiting) == (3, 1)
    assert rooms.uploader.sync(only_due=True).problem is None  # its pause is not over


def test_a_server_that_forgot_us_is_told_again(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    rooms.corrections.correct(rooms.record().recording_id, "one")
    rooms.uploader.sync()
    server.devices.clear()
    server.consents.clear()
    server.samples.clear()
    rooms.corrections.correct(rooms.record(pitch_hz=500).recording_id, "two")
    assert rooms.uploader.sync().sent == 1
    assert len(server.samples) == 1


def test_a_consent_that_the_server_keeps_denying_ends_in_a_refusal(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    rooms.corrections.correct(rooms.record().recording_id, "one")
    server.faults.answer = lambda method, path: (403, "consent-missing") if "samples" in path else None
    report = rooms.uploader.sync()
    assert (report.refused, report.waiting) == (1, 0)
    assert server.asked("PUT", "/v1/samples") == 2


def test_a_wrong_enrolment_code_is_said_and_everything_waits(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    rooms.corrections.correct(rooms.record().recording_id, "one")
    server.faults.answer = lambda method, path: (403, "enrolment-code") if path == "/v1/devices" else None
    report = rooms.uploader.sync()
    assert "enrolment-code" in (report.problem or "")
    assert report.waiting == 2
    assert server.samples == {}


def test_audio_that_rotted_here_is_not_sent(rooms: Rooms, server: FakeServer, tmp_path: Path) -> None:
    rooms.corrections.grant("corrections", "cli")
    recording = rooms.record()
    rooms.corrections.correct(recording.recording_id, "one")
    (path,) = (tmp_path / "audio").glob("??/*")
    path.write_bytes(b"rot")
    report = rooms.uploader.sync()
    assert report.refusals[0][1] == "audio-damaged"
    assert server.samples == {}


def test_no_server_is_said_only_if_something_waits(tmp_path: Path) -> None:
    rooms = open_rooms(tmp_path / "alone", None)
    assert rooms.uploader.sync().waiting == 0
    rooms.corrections.grant("corrections", "cli")
    with pytest.raises(SettingsError, match="PROJECTONE_SERVER"):
        rooms.uploader.sync()
    rooms.close()


def test_only_one_process_sends_at_a_time(rooms: Rooms) -> None:
    with exclusive_lock(rooms.home / "sync.lock", what="test"), pytest.raises(LeaseError):
        rooms.uploader.sync()


def test_what_is_kept_holds_sound_and_nothing_else() -> None:
    """A name in a LIST chunk does not reach the disk, and so not the server."""
    wav = tone()
    listed = b"LIST" + (12).to_bytes(4, "little") + b"INFOIARTAna\0"
    tagged = wav[:4] + (len(wav) - 8 + len(listed)).to_bytes(4, "little") + wav[8:] + listed
    clip: Clip = read_clip(tagged)
    assert b"Ana" not in clip.wav
    assert clip.wav == wav


def test_progress_counts_to_the_end(rooms: Rooms) -> None:
    rooms.corrections.grant("corrections", "cli")
    rooms.corrections.correct(rooms.record().recording_id, "one")
    seen: list[tuple[int, int]] = []
    rooms.uploader.sync(on_progress=lambda done, total, what: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("heard", "sent"), [("", ""), ("won  too", "won too"), ("\x00\x1b[2J", None), ("la " * 900, None), ("...", None)]
)
def test_nonsense_that_a_model_heard_does_not_cost_the_correction(
    heard: str, sent: str | None, rooms: Rooms, server: FakeServer
) -> None:
    rooms.corrections.grant("corrections", "cli")
    rooms.corrections.correct(rooms.record(heard).recording_id, "one two")
    assert rooms.uploader.sync().sent == 1
    ((correction, _),) = server.samples.values()
    assert (correction.text, correction.heard) == ("one two", sent)


def test_what_was_said_about_people_travels_in_the_signed_sample(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    rooms.corrections.correct(rooms.record().recording_id, "one two three")
    rooms.uploader.sync()
    ((correction, _),) = server.samples.values()
    assert (correction.is_adult, correction.others_present) == (True, False)


def test_a_voice_that_nobody_may_take_never_leaves(rooms: Rooms, server: FakeServer) -> None:
    rooms.corrections.grant("corrections", "cli")
    recording = rooms.record()
    rooms.corrections.correct(recording.recording_id, "one two three")
    marked = rooms.corrections.correct(recording.recording_id, "one two three", others_present=True)
    assert (marked.is_queued, "somebody else can be heard" in (marked.reason or "")) == (False, True)
    assert rooms.corrections.correct(recording.recording_id, "one two three", others_present=True) == marked
    rooms.corrections.grant("corrections", "cli", is_adult=False)
    minor = rooms.corrections.correct(rooms.record(pitch_hz=300.0).recording_id, "four")
    assert "recordings of minors are not taken" in (minor.reason or "")
    # Nor when somebody of age agrees later, and sends what was recorded before.
    assert rooms.corrections.grant("corrections", "cli", is_for_earlier=True).n_queued == 0
    rooms.uploader.sync()
    assert server.samples == {}
