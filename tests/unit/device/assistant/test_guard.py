"""A safety classifier comes as every model comes: verified, tried, swapped, gone back from; then it reads texts."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.device_intents import files_of
from tests.fakes.device_rooms import TextEngine
from tests.fakes.release_server import ENROLMENT_CODE, FakeServer
from tests.fakes.tiny_bert import tiny_bert

from projectone.assist.calibration import Alarm
from projectone.assist.classifiers import CLASSIFIER, Head, save_classifier
from projectone.assist.embeddings import SentenceEmbedder
from projectone.contracts.releases import line_of
from projectone.device.acceptance.harmless import PLAIN, HarmlessTrial
from projectone.device.acceptance.outcome import OnTrial
from projectone.device.cli.harmless import HARMLESS
from projectone.device.cli.results import Result
from projectone.device.client import DeviceClient
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.errors import ArtifactError, DataError, GuardError, UsageError

LINE = line_of("safety", "stable")
FINE, RUDE = "play some song", "set the alarm wake"


def tiny_guard(folder: Path, *, threshold: float = 0.5) -> dict[str, bytes]:
    """One that warns of what is like `RUDE`."""
    fine = (FINE, *PLAIN)
    directions = SentenceEmbedder(tiny_bert()).embed([*fine, RUDE])
    labels = (*(f"fine {number}" for number in range(len(fine))), "rude")
    head = Head(labels, directions, 300.0, -1.0, {}, Alarm("rude", threshold, 0.8, 0.05, 40, 60))
    save_classifier(folder, tiny_bert(), head, bits=8)
    return files_of(folder)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return tiny_guard(tmp_path_factory.mktemp("good") / "model")


@pytest.fixture(scope="module")
def nervous(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return tiny_guard(tmp_path_factory.mktemp("nervous") / "model", threshold=0.0)


@pytest.fixture
def settings(tmp_path: Path, server: FakeServer) -> DeviceSettings:
    return DeviceSettings(
        home=tmp_path / "device",
        server=server.url,
        enrolment_code=ENROLMENT_CODE,
        release_keys=(server.public_key,),
        release_root=server.root,
    )


@pytest.fixture
def client(settings: DeviceSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeviceClient]:
    monkeypatch.setattr("projectone.device.wiring._load_engine", lambda folder, settings: TextEngine(folder))
    with open_client(settings) as opened:
        yield opened


def flags(client: DeviceClient, text: str) -> bool:
    return client._rooms.guard.flags(text)


def test_nothing_is_warned_of_until_one_is_released_and_then_by_that_one(
    client: DeviceClient, server: FakeServer, good: dict[str, bytes]
) -> None:
    assert client.update(family="safety").status == "no-release"
    assert not client._rooms.guard.is_here()
    assert not flags(client, RUDE)
    server.release(good, channel=LINE)
    assert client.update(family="safety").status == "updated"
    assert (flags(client, FINE), flags(client, RUDE)) == (False, True)
    assert client.adoptions["safety"].state().version == "1.0.0"
    assert client.status().intents_version is None


def test_one_that_warns_of_most_that_does_no_harm_stays_out_and_the_one_before_stays_in_use(
    client: DeviceClient, server: FakeServer, good: dict[str, bytes], nervous: dict[str, bytes]
) -> None:
    server.release(good, channel=LINE)
    client.update(family="safety")
    server.release(nervous, seq=2, version="1.1.0", channel=LINE)
    report = client.update(family="safety")
    assert report.status == "rejected"
    assert f"of {len(PLAIN)} harmless sentences" in str(report.reason)
    assert (flags(client, FINE), flags(client, RUDE)) == (False, True)
    assert client.update(family="safety").status == "set-aside"


def test_a_first_one_that_is_no_good_leaves_the_device_as_it_was(
    client: DeviceClient, server: FakeServer, nervous: dict[str, bytes]
) -> None:
    server.release(nervous, channel=LINE)
    assert client.update(family="safety").status == "rejected"
    assert not flags(client, RUDE)


def test_a_damaged_one_gives_way_to_the_one_before_and_without_one_nothing_is_let_through(
    client: DeviceClient, settings: DeviceSettings, server: FakeServer, good: dict[str, bytes], tmp_path: Path
) -> None:
    server.release(good, channel=LINE)
    client.update(family="safety")
    server.release(tiny_guard(tmp_path / "next", threshold=0.4), seq=2, version="1.1.0", channel=LINE)
    assert client.update(family="safety").to_version == "1.1.0"
    client.close()
    for version, is_read in (("1.1.0", True), ("1.0.0", False)):
        with open_client(settings) as again:
            installed = again._rooms.lines["safety"].installed
            slot = installed.state().current
            assert slot is not None and slot.version == version
            (installed.path_of(slot) / CLASSIFIER).write_text("{}")
            if is_read:
                assert flags(again, RUDE)
                assert again.adoptions["safety"].state().version == "1.0.0"
            else:
                with pytest.raises(GuardError, match="is damaged"):
                    flags(again, RUDE)
                with pytest.raises(GuardError, match="no whole safety classifier is left"):
                    flags(again, RUDE)


def test_its_user_can_go_back(client: DeviceClient, server: FakeServer, good: dict[str, bytes], tmp_path: Path) -> None:
    server.release(good, channel=LINE)
    client.update(family="safety")
    server.release(tiny_guard(tmp_path / "next", threshold=0.4), seq=2, version="1.1.0", channel=LINE)
    client.update(family="safety")
    assert client.roll_back("safety") == "1.0.0"
    assert flags(client, RUDE)


def test_the_one_that_a_setting_names_goes_before_the_one_that_was_released(
    settings: DeviceSettings, server: FakeServer, good: dict[str, bytes], tmp_path: Path
) -> None:
    tiny_guard(tmp_path / "named", threshold=0.0)  # of everything: that is whoever named it's to answer for
    server.release(good, channel=LINE)
    with open_client(replace(settings, safety_model=tmp_path / "named")) as client:
        assert client.update(family="safety").status == "updated"
        flagged = client.replies._flags
        assert flagged is not None and flagged(FINE)
        assert not flags(client, FINE)


def test_what_it_warns_of_is_counted_in_classes_where_that_is_allowed_and_nowhere_else(
    client: DeviceClient, server: FakeServer, good: dict[str, bytes]
) -> None:
    server.release(good, channel=LINE)
    client.update(family="safety")
    flags(client, RUDE)
    assert client.quality.histograms() == []  # the control: nobody agreed
    client.quality.switch(is_on=True, method="cli")
    for text in (RUDE, FINE, FINE):
        flags(client, text)
    (counted,) = client.quality.histograms()
    assert (counted.family, counted.model_version) == ("safety", "1.0.0")
    assert counted.counts["alarm"][:2] == (2, 1)
    assert sum(counted.counts["alarm_probability"]) == sum(counted.counts["reading_time"]) == 3
    assert counted.counts["warned"] == (0, 0, 0, 0, 0, 1, 0, 0)  # one of three
    kept = b"".join(path.read_bytes() for path in client._rooms.home.glob("device.sqlite*"))
    assert b"quality_counts" in kept and RUDE.encode() not in kept


def asks(client: DeviceClient, text: str) -> bool:
    """Whether the first answer to a text is kept back."""
    flagged = client.replies._flags
    assert flagged is not None
    return flagged(text)


def test_what_its_person_says_is_harmless_is_warned_of_no_longer_where_they_ask_it_and_nowhere_else(
    client: DeviceClient, settings: DeviceSettings, server: FakeServer, tmp_path: Path
) -> None:
    server.release(tiny_guard(tmp_path / "strict", threshold=0.1), channel=LINE)
    client.update(family="safety")
    assert asks(client, RUDE)
    client.harmless.say(RUDE)
    assert not asks(client, RUDE)
    assert not asks(client, f"  {RUDE.upper()} ")
    # The controls: other words are warned of as before, and so is what a model answers with these.
    assert asks(client, "set the wake alarm")
    assert flags(client, RUDE)
    assert [item.text for item in client.harmless.listed()] == [RUDE]
    with open_client(settings) as again:
        assert not asks(again, RUDE)
    client.harmless.take_back(RUDE)
    assert (asks(client, RUDE), client.harmless.listed()) == (True, [])


def test_what_is_not_warned_of_is_not_kept_and_what_was_not_said_is_not_taken_back(
    client: DeviceClient, server: FakeServer, good: dict[str, bytes]
) -> None:
    server.release(good, channel=LINE)
    client.update(family="safety")
    with pytest.raises(DataError, match="does not warn of it"):
        client.harmless.say(FINE)
    with pytest.raises(DataError, match="nobody said"):
        client.harmless.take_back(RUDE)


def test_a_text_that_was_said_to_be_harmless_is_not_let_through_unread_and_its_warning_counts(
    client: DeviceClient, server: FakeServer, good: dict[str, bytes]
) -> None:
    server.release(good, channel=LINE)
    client.update(family="safety")
    client.harmless.say(RUDE)
    client.quality.switch(is_on=True, method="cli")
    assert not asks(client, RUDE)
    (counted,) = client.quality.histograms()
    assert counted.counts["alarm"][:2] == (0, 1)  # whoever releases it shall know how often it warns
    installed = client._rooms.lines["safety"].installed
    slot = installed.state().current
    assert slot is not None
    (installed.path_of(slot) / CLASSIFIER).write_text("{}")
    client._rooms.guard.close()
    with pytest.raises(GuardError):
        asks(client, RUDE)


def test_the_terminal_says_it_lists_it_and_takes_it_back(
    client: DeviceClient, server: FakeServer, good: dict[str, bytes]
) -> None:
    server.release(good, channel=LINE)
    client.update(family="safety")

    def say(*words: str) -> Result:
        parser = argparse.ArgumentParser()
        HARMLESS.add_arguments(parser)
        return HARMLESS.execute(client, parser.parse_args(words))

    assert say().facts == {"harmless": []}
    assert [item["text"] for item in say("say", RUDE).facts["harmless"]] == [RUDE]
    assert "on this device alone" in say("say", RUDE).text
    assert say("take-back", RUDE).facts == {"harmless": []}
    with pytest.raises(UsageError, match="expected a TEXT"):
        say("say")


def test_nothing_of_what_was_said_to_be_harmless_leaves(
    client: DeviceClient, server: FakeServer, good: dict[str, bytes]
) -> None:
    server.release(good, channel=LINE)
    client.update(family="safety")
    client.harmless.say(RUDE)
    client.sync()
    assert not any(client._rooms.outbox.counts().values())


def test_what_was_warned_of_before_speaks_against_no_other_one() -> None:
    release = OnTrial(2, "1.1.0", "safety classifier", lambda: True)
    own = ["you fool"] * 3
    trial = HarmlessTrial(own, release)
    trial.hear_before("1.0.0", lambda text: text != PLAIN[0])
    trial.hear_after(lambda text: text != PLAIN[0])
    with pytest.raises(ArtifactError, match="1 of 1"):
        trial.hear_after(lambda text: True)
