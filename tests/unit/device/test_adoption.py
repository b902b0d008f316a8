"""Models over time on one device: fetched, held back until nobody minds, tried, and gone back from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.device_rooms import TextEngine, text_model, tone
from tests.fakes.release_server import ENROLMENT_CODE, FakeServer

from projectone.contracts.rollouts import SeenTurn
from projectone.device import conditions
from projectone.device.adoption import Adoption, adopting
from projectone.device.adoption.standing import at_rest
from projectone.device.client import DeviceClient
from projectone.device.conditions import Conditions
from projectone.device.installed import CRASH_LOOP, InstallState, SetAside, Slot
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.errors import LeaseError, StorageError

FREE = Conditions(is_quiet=True, is_away=True, is_on_mains=True)
IN_USE = Conditions(is_quiet=True, is_away=False, is_on_mains=True)
METERED = Conditions(is_quiet=True, is_away=True, is_on_mains=True, is_metered=True)
CORRECTED = [f"please call {name} at nine" for name in ("ana", "bo", "cem", "dee", "eve", "fay")]


class Machine:
    """What the system says, until told otherwise."""

    def __init__(self) -> None:
        self.says = FREE

    def look(self) -> Conditions:
        return self.says


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(conditions, "look", made.look)
    monkeypatch.setattr(adopting, "_LOOK_AGAIN_S", 0.0)
    return made


@pytest.fixture
def client(machine: Machine, client: DeviceClient) -> DeviceClient:
    return client


def release(server: FakeServer, seq: int, text: str = "please call at nine") -> None:
    server.release(text_model(text), seq=seq, version=f"1.{seq}.0")


def with_first_model(client: DeviceClient, server: FakeServer) -> Adoption:
    release(server, 1)
    assert client.update().status == "updated"
    client.adoption._asked_at = None
    return client.adoption


def test_a_model_is_fetched_at_once_and_tried_when_nobody_minds(
    client: DeviceClient, machine: Machine, server: FakeServer
) -> None:
    adoption = with_first_model(client, server)
    release(server, 2, "please call ana at nine")
    machine.says = IN_USE
    report = adoption.step()
    assert report is not None
    assert report.status == "staged"
    state = adoption.state()
    assert (state.phase, state.staged_version, state.version) == ("staged", "1.2.0", "1.1.0")
    assert state.words == "Model 1.2.0 is here and waits for its trial, because you are using this machine."
    assert client.transcribe(tone()).model_version == "1.1.0"
    assert adoption.step() is None
    machine.says = FREE
    report = adoption.step()
    assert report is not None
    assert (report.status, report.received_bytes) == ("updated", 0)
    assert client.transcribe(tone()).model_version == "1.2.0"
    assert adoption.state().phase == "current"


def test_a_trial_stops_when_somebody_comes_and_begins_anew_later(
    client: DeviceClient, machine: Machine, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    adoption = with_first_model(client, server)
    for number, text in enumerate(CORRECTED):
        client.correct(client.transcribe(tone(pitch_hz=300.0 + number)).recording_id, text)
    release(server, 2, "please call ana at nine")
    looks = iter([FREE, FREE, FREE, IN_USE])
    monkeypatch.setattr(adoption, "_look", lambda: next(looks, IN_USE))
    report = adoption.step()
    assert report is not None
    assert (report.status, "needed for something else" in (report.reason or "")) == ("staged", True)
    assert adoption.comparisons() == []
    monkeypatch.setattr(adoption, "_look", lambda: FREE)
    report = adoption.step()
    assert report is not None
    assert report.status == "updated"
    (compared,) = adoption.comparisons()
    assert (compared.version, compared.against, compared.n_recordings) == ("1.2.0", "1.1.0", 6)
    assert (compared.wrong_before, compared.wrong_after, compared.n_maybe_learned) == (6, 5, 0)


def test_what_the_server_had_before_a_model_was_made_may_be_in_it(client: DeviceClient, server: FakeServer) -> None:
    client.grant("corrections", "cli")
    adoption = with_first_model(client, server)
    for number, text in enumerate(CORRECTED):
        client.correct(client.transcribe(tone(pitch_hz=300.0 + number)).recording_id, text)
        if number == 3:
            client.sync()
    release(server, 2)
    client.update()
    client.correct("last", "please call gus at nine")
    assert [item.n_maybe_learned for item in adoption.comparisons()] == [4]
    assert "It may have learned from 4 of them" in adoption.comparisons()[0].words


def test_its_own_work_does_not_stop_a_trial(client: DeviceClient, machine: Machine, server: FakeServer) -> None:
    adoption = with_first_model(client, server)
    may_go_on = adoption._moment()
    assert may_go_on()
    machine.says = Conditions(is_quiet=False, is_away=True, is_on_mains=True)
    assert may_go_on()
    assert not adoption._moment()()


def test_nothing_is_fetched_over_a_connection_that_is_paid_by_the_byte(
    client: DeviceClient, machine: Machine, server: FakeServer
) -> None:
    adoption = with_first_model(client, server)
    release(server, 2)
    machine.says = METERED
    assert adoption.step() is None
    assert adoption.state().waits_for == ("this connection is paid by the byte",)
    machine.says = FREE
    assert adoption.step() is not None


def test_the_server_is_asked_every_few_hours_and_not_where_that_is_switched_off(
    client: DeviceClient, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    adoption = with_first_model(client, server)
    now = datetime.now(UTC)
    monkeypatch.setattr(adoption, "_clock", lambda: now)
    asked = [adoption.step() is not None for _ in range(2)]
    now += adopting.ASK_EVERY
    asked.append(adoption.step() is not None)
    now -= timedelta(days=400)  # a clock that was wrong
    asked.append(adoption.step() is not None)
    adoption.switch(False)
    now += timedelta(days=1)
    asked.append(adoption.step() is not None)
    assert asked == [True, False, True, True, False]
    assert not adoption.state().is_automatic
    adoption.switch(True)
    assert adoption.state().is_automatic


def test_after_a_week_of_waiting_a_quiet_machine_is_enough(
    client: DeviceClient, machine: Machine, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    adoption = with_first_model(client, server)
    release(server, 2)
    machine.says = IN_USE
    adoption.step()
    now = datetime.now(UTC) + adopting.PATIENCE
    monkeypatch.setattr(adoption, "_clock", lambda: now)
    report = adoption.step()
    assert report is not None
    assert report.status == "updated"


def test_waiting_in_the_terminal_ends_when_the_machine_is_free(
    client: DeviceClient, machine: Machine, server: FakeServer
) -> None:
    adoption = with_first_model(client, server)
    release(server, 2)
    machine.says = IN_USE
    waited: list[tuple[str, ...]] = []

    def on_wait(waits: tuple[str, ...]) -> None:
        waited.append(waits)
        machine.says = FREE

    assert adoption.update_when_idle(60.0, on_wait).status == "updated"
    assert waited == [("you are using this machine",)]


@pytest.mark.parametrize(("says", "reason"), [(IN_USE, "quiet moment"), (METERED, "paid by the byte")])
def test_waiting_in_the_terminal_ends_at_its_limit(
    client: DeviceClient, machine: Machine, server: FakeServer, says: Conditions, reason: str
) -> None:
    adoption = with_first_model(client, server)
    release(server, 2)
    machine.says = says
    report = adoption.update_when_idle(0.0)
    assert (report.status, report.to_version, reason in (report.reason or "")) == ("staged", "1.1.0", True)


def test_the_thread_of_the_app_brings_a_model_and_ends_when_told(
    client: DeviceClient, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    adoption = with_first_model(client, server)
    release(server, 2)
    monkeypatch.setattr(adopting, "STEP_S", 0.01)
    is_here = threading.Event()
    bring = adoption._bring

    def noticed(**options: Any) -> Any:
        report = bring(**options)
        is_here.set()
        return report

    monkeypatch.setattr(adoption, "_bring", noticed)
    adoption.start_background()
    adoption.start_background()
    assert is_here.wait(120)
    adoption.stop()
    adoption.stop()
    assert client.transcribe(tone()).model_version == "1.2.0"
    assert not [thread for thread in threading.enumerate() if thread.name == "projectone-adoption"]


def test_going_back_in_the_terminal_is_noticed_by_the_open_app_between_two_steps(
    client: DeviceClient, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    adoption = with_first_model(client, server)
    release(server, 2)
    client.update()
    assert client.transcribe(tone()).model_version == "1.2.0"
    monkeypatch.setattr(adopting, "_NOTICE_S", 0.01)
    reload, is_back = adoption._reload, threading.Event()

    def noticed() -> None:
        reload()
        is_back.set()

    monkeypatch.setattr(adoption, "_reload", noticed)
    adoption.start_background()  # its first step is half a minute away
    client._rooms.installed.roll_back()  # as another process does it
    assert is_back.wait(20)
    assert client.transcribe(tone()).model_version == "1.1.0"
    adoption.stop()


def test_what_is_in_the_way_is_said_and_the_thread_goes_on(
    client: DeviceClient, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    adoption = with_first_model(client, server)
    steps: list[int] = []
    is_over = threading.Event()

    def fail() -> None:
        steps.append(1)
        if len(steps) == 3:
            is_over.set()
        raise StorageError("the disk is full")

    monkeypatch.setattr(adopting, "STEP_S", 0.01)
    monkeypatch.setattr(adoption, "step", fail)
    adoption.start_background()
    assert is_over.wait(120)
    adoption.stop()
    assert (adoption.state().phase, adoption.state().words) == (
        "problem",
        "the disk is full. Model 1.1.0 works on.",
    )


def test_every_model_on_the_disk_is_named_with_what_it_takes(client: DeviceClient, server: FakeServer) -> None:
    adoption = with_first_model(client, server)
    release(server, 2)
    client.update()
    state = adoption.state()
    assert [(item.version, item.role) for item in state.models] == [("1.2.0", "current"), ("1.1.0", "previous")]
    assert state.used_bytes == sum(item.size_bytes for item in state.models) > 0
    assert state.since is not None
    manifest = adoption.manifest()
    assert manifest is not None
    assert manifest.version == "1.2.0"


def corrections(client: DeviceClient, n: int, *, each: int) -> None:
    """So many recordings, of which every few are corrected."""
    for number in range(n):
        recording = client.transcribe(tone(0.1, pitch_hz=300.0 + number))
        if number % each == 0:
            client.correct(recording.recording_id, f"please call number {number}")


def test_a_model_that_this_person_corrects_far_more_often_is_gone_back_from(
    client: DeviceClient, server: FakeServer
) -> None:
    adoption = with_first_model(client, server)
    corrections(client, 40, each=20)
    release(server, 2, "please call ana at nine")
    client.update()
    corrections(client, 12, each=1)
    adoption.step()
    assert client.transcribe(tone()).model_version == "1.1.0"
    state = adoption.state()
    assert state.phase == "went-back"
    assert "you correct it in 100% of your recordings, and in 5% with model 1.1.0" in state.words
    assert client.update().status == "set-aside"


def test_a_first_bad_hour_is_no_reason_to_go_back(client: DeviceClient, server: FakeServer) -> None:
    adoption = with_first_model(client, server)
    corrections(client, 40, each=20)
    release(server, 2)
    client.update()
    corrections(client, 4, each=2)
    adoption.step()
    assert client.transcribe(tone()).model_version == "1.2.0"


def test_a_model_that_another_process_brought_is_taken_up(
    homes: Callable[[], DeviceClient], server: FakeServer
) -> None:
    with homes() as app:
        adoption = with_first_model(app, server)
        assert app.transcribe(tone()).model_version == "1.1.0"
        release(server, 2)
        with homes() as other:
            assert other.update().status == "updated"
        adoption.switch(False)
        adoption.step()
        assert app.transcribe(tone()).model_version == "1.2.0"


def test_two_processes_do_not_bring_the_same_model_at_once(
    homes: Callable[[], DeviceClient], server: FakeServer, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with homes() as app:
        adoption = with_first_model(app, server)
        release(server, 2)
        with app._rooms.installed.changing(), pytest.raises(LeaseError):
            adoption.step()
        assert adoption.state().phase == "current"
        assert adoption.step() is None
        later = datetime.now(UTC) + adopting.ASK_AGAIN
        monkeypatch.setattr(adoption, "_clock", lambda: later)
        assert adoption.step() is not None


def slot(seq: int) -> Slot:
    return Slot(folder=str(seq), seq=seq, version=f"1.{seq}.0", manifest_sha256="0" * 64)


@pytest.mark.parametrize(
    ("state", "seen", "phase", "words"),
    [
        (InstallState(), None, "none", "no model"),
        (InstallState(current=slot(2)), None, "current", "1.2.0 is the newest"),
        (InstallState(current=slot(2), trial=slot(3)), None, "staged", "1.3.0 is here"),
        (
            InstallState(current=slot(2), set_aside=(SetAside(seq=3, version="1.3.0", reason=CRASH_LOOP),)),
            None,
            "went-back",
            "Model 1.2.0 stays. Model 1.3.0 is set aside: loading it ended the app, twice.",
        ),
        (InstallState(current=slot(3), previous=slot(2)).rolled_back(), None, "went-back", "You went back to"),
        (
            InstallState(current=slot(2)),
            SeenTurn(seq=3, version="1.3.0", percent=5.0, is_halted=False),
            "waiting",
            "1.3.0 goes out in stages",
        ),
    ],
)
def test_where_a_device_stands_is_said_in_a_sentence(
    state: InstallState, seen: SeenTurn | None, phase: str, words: str
) -> None:
    said = at_rest(state, (), problem=None, seen=seen)
    assert (said[0], words in said[1]) == (phase, True)


@pytest.fixture
def homes(tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], DeviceClient]]:
    """Opens the same home again and again, as starts of the app do."""
    monkeypatch.setattr("projectone.device.wiring._load_engine", lambda folder, settings: TextEngine(folder))
    opened: list[DeviceClient] = []

    def start() -> DeviceClient:
        made = open_client(
            DeviceSettings(
                home=tmp_path / "device",
                server=server.url,
                enrolment_code=ENROLMENT_CODE,
                release_keys=(server.public_key,),
                release_root=server.root,
            )
        )
        opened.append(made)
        return made

    yield start
    for made in opened:
        made._rooms.database.close()


def with_two_models(start: Callable[[], DeviceClient], server: FakeServer) -> None:
    with start() as client:
        for seq in (1, 2):
            release(server, seq)
            client.update()


def test_an_app_that_ends_three_times_before_it_answers_goes_back(
    homes: Callable[[], DeviceClient], server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_two_models(homes, server)

    class Killer(TextEngine):
        def transcribe(self, *arguments: Any) -> Any:
            raise SystemExit  # as if the process ended: nothing is closed

    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr("projectone.device.wiring._load_engine", lambda folder, settings: Killer(folder))
            with pytest.raises(SystemExit):
                homes().transcribe(tone())
    with homes() as client:
        assert client.transcribe(tone()).model_version == "1.1.0"
        assert "ended 3 times before it answered" in client.adoption.state().words
    TextEngine.open_engines = 0


def test_an_app_that_is_closed_before_it_answers_says_nothing_about_the_model(
    homes: Callable[[], DeviceClient], server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_two_models(homes, server)

    class Interrupted(TextEngine):
        def transcribe(self, *arguments: Any) -> Any:
            raise KeyboardInterrupt

    for _ in range(4):
        with monkeypatch.context() as patch:
            patch.setattr("projectone.device.wiring._load_engine", lambda folder, settings: Interrupted(folder))
            with pytest.raises(KeyboardInterrupt), homes() as client:
                client.transcribe(tone())
    with homes() as client:
        assert client.transcribe(tone()).model_version == "1.2.0"


def test_a_model_that_cannot_be_loaded_twice_is_gone_back_from_within_the_same_request(
    homes: Callable[[], DeviceClient], server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_two_models(homes, server)

    def load(folder: Path, settings: DeviceSettings) -> TextEngine:
        if folder.name == "2":
            raise OSError("cannot map it")
        return TextEngine(folder)

    monkeypatch.setattr("projectone.device.wiring._load_engine", load)
    with homes() as client:
        with pytest.raises(OSError, match="cannot map it"):
            client.transcribe(tone())
        assert client.transcribe(tone()).model_version == "1.1.0"
        assert "could not be loaded, 2 times in a row" in client.adoption.state().words
