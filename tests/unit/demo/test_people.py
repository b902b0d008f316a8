"""People of the demo at real devices; only the model is a text file."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.device_rooms import TextEngine, text_model, tone
from tests.fakes.release_server import ENROLMENT_CODE, FakeServer, running

from projectone.demo.materials import Person, Spoken
from projectone.demo.people import Participant, Server
from projectone.device import wiring


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with running(FakeServer()) as started:
        started.release(text_model("one two"))
        yield started


def spoken(text: str, pitch_hz: float) -> Spoken:
    return Spoken(f"clip {pitch_hz}", "ann", "tones", text, tone(pitch_hz=pitch_hz), 0.5)


PERSON = Person(
    name="ann",
    accent="tones",
    has_consented=True,
    to_correct=(spoken("One, two.", 300), spoken("one three", 400), spoken("two", 500)),
    kept_back=(spoken("one two", 600), spoken("one one", 700)),
)


@pytest.fixture
def ann(tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Participant]:
    monkeypatch.setattr(wiring, "_load_engine", lambda folder, settings: TextEngine(folder))
    who = Participant.open(PERSON, tmp_path / "ann", Server(server.url, ENROLMENT_CODE, server.public_key, server.root))
    assert who.client.update().status == "updated"
    yield who
    who.client.close()


def test_only_what_was_heard_wrongly_counts_as_corrected(ann: Participant) -> None:
    ann.record()
    assert (ann.n_recorded, ann.n_corrected) == (3, 2)
    assert [score.word_errors for score in ann.before] == [0, 1]


def test_every_name_under_which_a_person_could_be_known_is_searched_for(ann: Participant, server: FakeServer) -> None:
    ann.record()
    recordings = ann.client.recordings()
    assert len(recordings) == 5
    assert {recording.audio_sha256 for recording in recordings} == set(ann.audio_sha256s)
    assert {recording.recording_id for recording in recordings} <= set(ann.ids)
    assert ann.client.status().device_id in ann.ids
    ann.grant()
    assert ann.sync().sent == 3
    assert {str(sample_id) for sample_id in server.samples} <= set(ann.ids)


def test_without_consent_nothing_is_sent_and_the_server_never_hears_of_the_person(
    ann: Participant, server: FakeServer
) -> None:
    ann.record()
    n_requests = len(server.requests)
    assert ann.sync().sent == 0
    assert ann.n_sent == 0
    assert len(server.requests) == n_requests


def test_what_was_kept_back_never_leaves_and_is_heard_again_by_the_new_model(
    ann: Participant, server: FakeServer
) -> None:
    ann.record()
    ann.grant()
    ann.sync()
    assert len(server.samples) == len(PERSON.to_correct)
    server.release(text_model("one one"), seq=2, version="1.1.0")
    report, n_answered = ann.update_under_load()
    assert (report.status, report.to_version) == ("updated", "1.1.0")
    assert n_answered >= 1
    ann.listen_again()
    assert [score.word_errors for score in ann.after] == [1, 0]


def test_a_request_that_is_dropped_during_the_swap_is_not_passed_over(
    ann: Participant, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann.record()

    def fall_over(samples: object) -> str:
        raise RuntimeError("dropped")

    monkeypatch.setattr(ann.client, "transcribe_only", fall_over)
    with pytest.raises(RuntimeError, match="dropped"):
        ann.update_under_load()


def test_a_recording_that_the_device_refuses_costs_no_other_one(ann: Participant) -> None:
    ann.person = Person(
        name="ann",
        accent=None,
        has_consented=True,
        to_correct=(Spoken("broken", "ann", "tones", "one", b"not a WAV", 0.5), *PERSON.to_correct),
        kept_back=PERSON.kept_back,
    )
    ann.record()
    assert (ann.n_recorded, len(ann.rejected)) == (3, 1)
