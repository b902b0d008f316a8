"""A better classifier comes as a better speech model comes: by the same code, in a line of its own."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.device_intents import files_of, tiny_intents
from tests.fakes.device_rooms import TextEngine, text_model
from tests.fakes.release_server import ENROLMENT_CODE, FakeServer
from tests.fakes.releases import a_manifest

from projectone.contracts.releases import line_of
from projectone.device.cli import main
from projectone.device.client import DeviceClient
from projectone.device.health import Cohorts, Windows
from projectone.device.health.after import Use, complaint
from projectone.device.migrations import MIGRATIONS
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.errors import ArtifactError, SettingsError, StorageError
from projectone.storage.database import Database

LINE = line_of("intents", "stable")
SENTENCES = [f"play {what}" for what in ("some music", "the song", "some song", "music", "the music", "it")]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return files_of(tiny_intents(tmp_path_factory.mktemp("good") / "model"))


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return files_of(tiny_intents(tmp_path_factory.mktemp("turned") / "model", labels=("weather", "music")))


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


def test_each_family_comes_by_its_own_line_though_numbers_and_versions_are_the_same(
    client: DeviceClient, server: FakeServer, good: dict[str, bytes]
) -> None:
    assert client.update(family="intents").status == "no-release"
    server.release(text_model("hello"))
    assert client.update(family="intents").status == "no-release"
    server.release(good, channel=LINE)
    assert client.update(family="intents").status == "updated"
    assert client.status().model_version is None
    assert client.assist.understand("play some music").asked.model_version == "1.0.0"
    assert client.update().status == "updated"
    assert client.update(family="intents").status == "current"
    assert (client.status().model_version, client.status().intents_version) == ("1.0.0", "1.0.0")
    assert client.adoptions["intents"].state().words == "Classifier 1.0.0 is the newest that is known here."
    assert client.adoption.comparisons() == []


def test_a_speech_model_on_the_line_of_classifiers_is_not_taken(client: DeviceClient, server: FakeServer) -> None:
    release = server.release(text_model("hello"))
    listed = release.manifest.model_copy(update={"channel": LINE})
    server.shelf.release(listed)
    server.shelf.list(
        f"{LINE}/float16/release.json",
        release.manifest.to_bytes(),
        server.shelf.listed["stable/float16/release.json"].unrecognized_fields["custom"],
    )
    server.show()
    with pytest.raises(ArtifactError, match=r"expected channel 'stable\.intents'"):
        client.update(family="intents")


def test_a_classifier_that_is_worse_for_this_user_stays_out(
    client: DeviceClient, server: FakeServer, good: dict[str, bytes], turned: dict[str, bytes]
) -> None:
    server.release(turned, channel=LINE)
    client.update(family="intents")
    for text in SENTENCES:
        asked = client.assist.understand(text).asked
        client.assist.correct(asked.ask_id, "music" if asked.label == "weather" else "weather")
    server.release(good, seq=2, version="1.1.0", channel=LINE)
    assert client.update(family="intents").status == "updated"
    (better,) = client.adoptions["intents"].comparisons()
    assert (better.verdict, better.wrong_before, better.wrong_after) == ("better", 6, 0)
    assert better.words.startswith("Of 6 sentences whose meaning you corrected, classifier 1.0.0 got 6 wrong")
    server.release(turned, seq=3, version="1.2.0", channel=LINE)
    report = client.update(family="intents")
    assert report.status == "rejected"
    assert "of 6 of your own sentences it gets 6 wrong, classifier 1.1.0 0" in str(report.reason)
    assert client.assist.understand(SENTENCES[0]).asked.model_version == "1.1.0"
    assert client.update(family="intents").status == "set-aside"
    assert client.roll_back("intents") == "1.0.0"
    assert client.adoption.comparisons() == []  # of speech there is nothing to say


def test_a_classifier_that_finds_nothing_meant_stays_out_without_a_single_correction(
    client: DeviceClient, server: FakeServer, good: dict[str, bytes], tmp_path: Path
) -> None:
    server.release(good, channel=LINE)
    client.update(family="intents")
    for text in SENTENCES:
        client.assist.understand(text)
    dumb = files_of(tiny_intents(tmp_path / "dumb", threshold=1.1))
    server.release(dumb, seq=2, version="1.1.0", channel=LINE)
    report = client.update(family="intents")
    assert report.status == "rejected"
    assert "found nothing meant in 6 sentences" in str(report.reason)


def test_what_all_models_take_counts_for_each_family(
    settings: DeviceSettings, server: FakeServer, good: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectone.device.wiring._load_engine", lambda folder, settings: TextEngine(folder))
    n_bytes = sum(map(len, good.values()))
    server.release(text_model("hello", padding=n_bytes // 256))
    server.release(good, channel=LINE)
    # Twice a model: the package, and what is unpacked from it. The speech model stays, so a third one has no room.
    limited = DeviceSettings(**{**vars(settings), "model_budget_bytes": int(2.5 * n_bytes)})
    with open_client(limited) as client:
        assert client.update().status == "updated"
        with pytest.raises(StorageError, match="PROJECTONE_MODEL_BUDGET_MB"):
            client.update(family="intents")


def test_counts_of_one_family_are_not_those_of_another(tmp_path: Path) -> None:
    database = Database(tmp_path / "device.sqlite", MIGRATIONS)
    speech, intents = Windows(database), Windows(database, family="intents")
    speech.switch(is_on=True)
    assert intents.is_on
    manifest = a_manifest()
    plan = {"salt": "0" * 32, "stages": [{"not_before": manifest.created_at, "max_buckets": 1}], "ticket_key": "a"}
    released = type(manifest).model_validate(manifest.model_dump() | {"rollout": plan})
    speech.begin(released, "treated", 0.0)
    intents.begin(released.model_copy(update={"channel": LINE}), "treated", 0.0)
    assert [window.channel for window in speech.open()] == ["stable"]
    speech.set_outcome(speech.open()[0], "installs")
    intents.set_outcome(intents.open()[0], "installs")
    speech.count_correction()
    intents.count_heard(0.1, 0.003, True)
    counts = [windows.open()[0].counts for windows in (speech, intents)]
    assert [(item.corrections, item.empty_transcripts, item.transcripts) for item in counts] == [(1, 0, 0), (0, 1, 1)]
    cohorts = Cohorts(database), Cohorts(database, "intents")
    halted = released.model_copy(update={"channel": LINE})
    cohorts[1].turn(halted, None, datetime.now(UTC))
    assert (cohorts[0].seen(), cohorts[1].seen() is not None) == (None, True)
    intents.switch(is_on=False)
    assert speech.open() == []
    database.close()


def test_a_device_counts_what_it_asks_and_what_was_corrected_and_goes_back(
    client: DeviceClient, server: FakeServer, good: dict[str, bytes]
) -> None:
    server.release(good, channel=LINE)
    client.update(family="intents")
    asked = client.assist.understand("play some music").asked
    client.assist.correct(asked.ask_id, "weather")
    client.assist.correct(asked.ask_id, None)  # the same sentence counts once
    use = client._rooms.lines["intents"].uses.of("1.0.0")
    assert use is not None
    assert (use.transcripts, use.corrected, use.empty) == (1, 1, 0)
    assert client._rooms.lines["speech"].uses.of("1.0.0") is None
    bad, before = (Use("1.1.0", datetime.now(UTC), 40, 0, 30, 0, 0), Use("1.0.0", datetime.now(UTC), 40, 0, 1, 0, 0))
    assert complaint(bad, before, "intents") == (
        "you correct it in 75% of your sentences, and in 2% with classifier 1.0.0"
    )


def test_rows_of_before_are_about_speech(tmp_path: Path) -> None:
    path = tmp_path / "device.sqlite"
    before = MIGRATIONS[: next(i for i, script in enumerate(MIGRATIONS) if "model_uses_next" in script)]
    with sqlite3.connect(path) as old:
        for script in before:
            old.executescript(script)
        old.execute(f"PRAGMA user_version = {len(before)}")
        old.execute("INSERT INTO model_uses VALUES ('1.0.0', '2026-11-22T00:00:00+00:00', 5, 1, 2, 0, 0)")
        old.execute("INSERT INTO model_trials VALUES (1, '1.1.0', '1.0.0', '2026-11-22', 'worse', 6, 24, 0, 6, 0)")
    old.close()
    database = Database(path, MIGRATIONS)
    assert [row["family"] for row in database.query("SELECT family FROM model_uses")] == ["speech"]
    assert [row["family"] for row in database.query("SELECT family FROM model_trials")] == ["speech"]
    database.close()


def test_a_channel_that_is_a_line_of_a_family_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="PROJECTONE_CHANNEL"):
        DeviceSettings(home=tmp_path, channel="stable.intents")


def test_the_terminal_updates_all_families_or_one(
    server: FakeServer,
    good: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    at_the_terminal(tmp_path, server, monkeypatch)
    server.release(text_model("hello"))
    assert main(["update"]) == 0
    assert capsys.readouterr().out == "model 1.0.0 is in use\n"
    server.release(good, seq=4, version="2.0.0", channel=LINE)
    assert main(["update", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["status"], facts["families"]["intents"]["status"]) == ("current", "updated")
    assert main(["update", "--family", "intents", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["to_version"] == "2.0.0"
    assert main(["model"]) == 0
    shown = capsys.readouterr().out
    assert "model      Model 1.0.0 is the newest" in shown
    assert "classifier Classifier 2.0.0 is the newest" in shown
    assert main(["update", "--rollback", "--family", "intents"]) == 2
    assert "no earlier classifier" in capsys.readouterr().err


def test_a_server_of_classifiers_alone_lacks_nothing(
    tmp_path: Path,
    server: FakeServer,
    good: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    at_the_terminal(tmp_path, server, monkeypatch)
    assert main(["update"]) == 1
    assert capsys.readouterr().out == "the server has released no model yet\n"
    server.release(good, channel=LINE)
    assert main(["update"]) == 0
    assert capsys.readouterr().out == "the server has released no model yet\nclassifier 1.0.0 is in use\n"


def at_the_terminal(tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projectone.device.wiring._load_engine", lambda folder, settings: TextEngine(folder))
    for name, value in {
        "HOME": str(tmp_path / "device"),
        "SERVER": server.url,
        "RELEASE_KEY": server.public_key,
        "RELEASE_ROOT": base64.b64encode(server.root).decode(),
    }.items():
        monkeypatch.setenv(f"PROJECTONE_{name}", value)
