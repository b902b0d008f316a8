"""`projectone-server corpus`: any decision about a sample can be looked at again."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import select, update
from tests.fakes.tiny_whisper import say
from tests.fakes.trainer_home import NOW
from tests.unit.server.work.test_worker import Office, make_office  # noqa: F401 - a fixture

from projectone.server.cli import main
from projectone.server.corpus.retention import withdraw
from projectone.server.corpus.tables import SAMPLES
from projectone.server.database import writing
from projectone.server.work.dossier import changes
from projectone.waveform.wav import encode_wav


class Auditor:
    """Somebody at the server's terminal."""

    def __init__(self, office: Office, capsys: pytest.CaptureFixture[str]) -> None:
        self.office = office
        self._capsys = capsys

    def say(self, *arguments: str, code: int = 0) -> str:
        self._capsys.readouterr()
        assert main(["corpus", *arguments]) == code
        captured = self._capsys.readouterr()
        return captured.err if code == 2 else captured.out

    def ask(self, *arguments: str, code: int = 0) -> Any:
        self._capsys.readouterr()
        assert main(["corpus", *arguments, "--json"]) == code
        return json.loads(self._capsys.readouterr().out)

    def run(self) -> str:
        self.office.workshop.runs.request("on-demand")
        (run,) = self.office.worker.work_once()
        return run.run_id


@pytest.fixture
def auditor(
    make_office: Callable[..., Office],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Auditor:
    office = make_office()
    for name, value in office.home.variables.items():
        monkeypatch.setenv(name, value)
    return Auditor(office, capsys)


def test_an_empty_corpus_is_said_to_be_empty(auditor: Auditor) -> None:
    assert auditor.say("list") == "no such sample\n"
    assert auditor.ask("scrub") == {"n_blobs": 0, "damaged": [], "missing": [], "changed": []}


def test_a_discarded_sample_is_shown_with_its_figures_and_the_limit_it_broke(auditor: Auditor) -> None:
    quiet = auditor.office.home.send("ann", "quiet", "red", np.zeros(8000, np.float32))
    auditor.office.home.send("ann", "sound", "red", say("red", seed=1))
    auditor.run()
    shown = auditor.ask("show", quiet)
    assert (shown["state"], shown["reason"], shown["reason_today"]) == ("discarded", "silence", "silence")
    assert shown["measured"]["peak_db"] < -55
    assert shown["clip"]["state"] == "whole"
    text = auditor.say("show", quiet)
    assert "silence: the clip peaks below -55 dB" in text
    assert "would be discarded: silence" in text
    assert [item["sample_id"] for item in auditor.ask("list", "--reason", "silence")["samples"]] == [quiet]


def test_a_used_sample_names_the_run_the_release_and_what_was_corrected(auditor: Auditor) -> None:
    sample = auditor.office.home.send(
        "ann", "first", "red green blue", say("red green blue", seed=1), heard="red black blue"
    )
    assert "no run took it yet" in auditor.say("show", sample[:8])
    run_id = auditor.run()
    shown = auditor.ask("show", sample[:8].upper())
    assert (shown["state"], shown["changed_words"]) == ("used", [{"heard": "black", "said": "green"}])
    assert shown["consent"]["scope"] == "corrections"
    assert [(run["run_id"], run["released_version"]) for run in shown["runs"]] == [(run_id, "1.0.0")]
    assert shown["dataset_sha256s"] == [run["dataset_sha256"] for run in shown["runs"]]
    text = auditor.say("show", sample)
    assert f"used in   run {run_id} (succeeded, released as 1.0.0)" in text
    assert "changed   black -> green" in text


def test_a_correction_that_its_author_replaced_says_so(auditor: Auditor) -> None:
    home, sound = auditor.office.home, say("red green", seed=1)
    later = NOW + timedelta(minutes=1)
    newest = home.send("ann", "newest", "red green", sound, corrected_at=later)
    first = home.send("ann", "first", "red blue", sound)  # it came late
    auditor.run()
    assert [auditor.ask("show", sample)["state"] for sample in (first, newest)] == ["discarded", "used"]
    assert "superseded: the same person corrected the same recording again later" in auditor.say("show", first)


def test_of_a_withdrawn_sample_no_word_and_no_sound_is_shown(auditor: Auditor) -> None:
    home = auditor.office.home
    sample = home.send("ann", "first", "red green blue", say("red green blue", seed=1), heard="red black blue")
    auditor.run()
    receipt = home.grant("ann")
    assert withdraw(home.catalog, home.blobs, receipt.receipt_id, contributor_id="ann", now=datetime.now(UTC))
    shown = auditor.ask("show", sample)
    assert (shown["state"], shown["text"], shown["heard"], shown["measured"]) == ("erased", None, None, None)
    assert shown["clip"] == {"state": "erased", "path": None}
    assert shown["runs"][0]["released_version"] == "1.0.0", "what was released before is still told"
    text = auditor.say("show", sample)
    assert "is erased" in text
    assert "withdrawn 2" in text
    assert "red green blue" not in text + auditor.say("list")


def test_samples_are_listed_newest_first_by_state_and_person(auditor: Auditor) -> None:
    ids = [auditor.office.home.send(who, "one", "red", say("red", seed=1)) for who in ("ann", "ben")]
    assert {item["sample_id"] for item in auditor.ask("list", "--state", "waiting")["samples"]} == set(ids)
    assert [item["sample_id"] for item in auditor.ask("list", "--person", "ben")["samples"]] == ids[1:]
    assert len(auditor.ask("list", "--limit", "1")["samples"]) == 1
    assert auditor.ask("list", "--state", "used", "--state", "erased")["samples"] == []


def test_a_limit_that_shows_nothing_is_refused(auditor: Auditor) -> None:
    assert "--limit: expected 1 to 1000000, got -5" in auditor.say("list", "--limit", "-5", code=2)
    assert "--limit: expected 1 to" in auditor.say("list", "--limit", "9" * 20, code=2)


@pytest.mark.parametrize("named", ["", "nothing-of-ours", "0" * 33, "ffffffff"])
def test_what_names_no_sample_is_explained(auditor: Auditor, named: str) -> None:
    auditor.office.home.send("ann", "one", "red", say("red", seed=1))
    assert "expected the beginning of" in auditor.say("show", named, code=2)


def test_a_beginning_that_two_samples_share_is_not_guessed(auditor: Auditor) -> None:
    home = auditor.office.home
    ids = [UUID(home.send("ann", str(number), "red", say("red", seed=number))).hex for number in range(17)]
    shared = next(first for first in "0123456789abcdef" if sum(name.startswith(first) for name in ids) > 1)
    assert "found several" in auditor.say("show", shared, code=2)


def test_a_clip_is_opened_for_whoever_wants_to_hear_it(auditor: Auditor, tmp_path: Path) -> None:
    home = auditor.office.home
    sound = say("red", seed=5)
    sample_id = home.send("ada", "one", "red", sound)
    out = tmp_path / "heard.wav"
    told = auditor.ask("clip", sample_id[:8], "--out", str(out))
    assert (told["path"], told["size_bytes"]) == (str(out), len(encode_wav(sound)))
    assert (out.read_bytes(), out.stat().st_mode & 0o777) == (encode_wav(sound), 0o600)
    withdraw(home.catalog, home.blobs, home.grant("ada").receipt_id, contributor_id="ada", now=NOW)
    assert "erased" in auditor.say("clip", sample_id[:8], "--out", str(out), code=2)


def test_the_scrub_names_every_sample_whose_text_was_changed(auditor: Auditor) -> None:
    home = auditor.office.home
    one, two = (home.send("ada", name, name, say(name, seed=5)) for name in ("red", "green"))
    with writing(home.engine) as connection:
        query = select(SAMPLES.c.words).where(SAMPLES.c.sample_id == UUID(one))
        words = connection.execute(query).scalar_one()
        connection.execute(update(SAMPLES).where(SAMPLES.c.sample_id == UUID(two)).values(words=words))
    assert auditor.ask("scrub", code=1)["changed"] == [two]
    assert "1 texts changed" in auditor.say("scrub", code=1)


def test_the_scrub_names_every_sample_whose_clip_is_damaged_or_gone(auditor: Auditor) -> None:
    home = auditor.office.home
    ids = home.send_many(3, seed=3)
    rotten, gone, _ = (Path(auditor.ask("show", sample)["clip"]["path"]) for sample in ids)
    assert auditor.ask("scrub")["damaged"] == []
    content = bytearray(rotten.read_bytes())
    content[len(content) // 2] ^= 1
    rotten.write_bytes(content)
    gone.unlink()
    found = auditor.ask("scrub", code=1)
    assert [item["samples"] for item in found["damaged"]] == [[ids[0]]]
    assert [item["samples"] for item in found["missing"]] == [[ids[1]]]
    assert "2 blobs: 1 damaged, 1 missing" in auditor.say("scrub", code=1)
    assert [auditor.ask("show", sample)["reason_today"] for sample in ids] == ["clip-damaged", "clip-missing", None]
    auditor.run()
    assert [auditor.ask("show", sample)["state"] for sample in ids] == ["discarded", "discarded", "used"]


@pytest.mark.parametrize(
    ("heard", "said", "changed"),
    [
        ("a b c", "a b c", []),
        ("", "a b", [{"heard": "", "said": "a b"}]),
        ("a x c y", "a b c", [{"heard": "x", "said": "b"}, {"heard": "y", "said": ""}]),
    ],
)
def test_changes_are_runs_of_words(heard: str, said: str, changed: list[dict[str, str]]) -> None:
    assert changes(heard, said) == changed


def test_what_is_held_is_listed_with_its_reason_and_goes_on_by_a_persons_word(auditor: Auditor) -> None:
    assert auditor.say("review") == "nothing waits for a review\n"
    home = auditor.office.home
    odd, worse = (home.send("ann", name, "red \u0440urple", say("red", seed=1)) for name in ("odd", "worse"))
    auditor.run()
    assert "because   foreign-letters: the text has letters of another alphabet" in auditor.say("show", odd)
    (first, second) = auditor.ask("review")["samples"]
    assert {first["sample_id"], second["sample_id"]} == {odd, worse}
    assert list(first["reasons"]) == ["foreign-letters"]
    assert first["measures"]["duration_s"] > 0
    assert "red \u0440urple" in auditor.say("review", "list", "--reason", "foreign-letters")
    assert auditor.ask("review", "accept", odd[:13], "--why", "a brand", "--by", "eve")["samples"] == [odd]
    assert "1 refused: nothing will be trained on them" in auditor.say(
        "review", "refuse", "--reason", "foreign-letters"
    )
    auditor.run()
    assert home.catalog.counts() == {"waiting": 0, "held": 0, "used": 1, "discarded": 1, "quarantined": 0, "erased": 0}
    text = auditor.say("show", odd)
    assert "used in   run" in text
    assert "by eve: a brand (foreign-letters)" in text
    assert auditor.ask("list", "--reason", "refused")["samples"][0]["sample_id"] == worse


def test_a_review_that_is_about_nothing_is_refused_with_what_is_expected(auditor: Auditor) -> None:
    sound = auditor.office.home.send("ann", "sound", "red", say("red", seed=1))
    assert "expected ids of samples, or --reason" in auditor.say("review", "accept", code=2)
    assert "no sample is held for it" in auditor.say("review", "refuse", "--reason", "personal-card", code=2)
    assert "expected samples that are held" in auditor.say("review", "accept", sound, code=2)
    assert "--limit: expected 1 to" in auditor.say("review", "--limit", "0", code=2)
    assert "--nats: expected a finite number" in auditor.say("review", "surprising", "--nats", "nan", code=2)


@pytest.mark.parametrize(("hold_personal", "ends"), [("on", "held"), ("off", "used")])
def test_a_card_in_a_text_is_held_and_learned_from_where_the_operator_says_so(
    auditor: Auditor, hold_personal: str, ends: str
) -> None:
    """The second is the control: without the detector the number of the card would be trained."""
    auditor.office.reopen(hold_personal=hold_personal)
    sample = auditor.office.home.send("ann", "card", "4111 1111 1111 1111", say("red green blue", seed=1))
    auditor.run()
    assert auditor.ask("show", sample)["state"] == ends
    assert auditor.ask("show", sample)["held_today"] == ["personal-card"]


def test_the_help_of_review_shows_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["corpus", "review", "--help"])
    assert ended.value.code == 0
    assert "corpus review refuse --reason personal-card" in capsys.readouterr().out
