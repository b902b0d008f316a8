"""Triage with a real model's ears: from rows of a server's home, and at the `train` command's door."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from tests.fakes.tiny_whisper import WORDS, save_tiny, say
from tests.fakes.trainer_home import TrainerHome

from projectone.server.cli import main
from projectone.server.corpus.review import ODD_NATS
from projectone.server.evaluation.power import GatePower
from projectone.server.evaluation.triage import TriageConfig
from projectone.server.work.run_ports import open_ports, open_trainer
from projectone.server.work.train import EXIT_NO_TRAIN
from projectone.server.work.triage import NewClip, triage_clips
from projectone.server.work.worker import Worker
from projectone.server.work.workshop import Workshop
from projectone.waveform.wav import encode_wav


@pytest.fixture
def home(tmp_path: Path) -> Iterator[TrainerHome]:
    made = TrainerHome(
        tmp_path / "home",
        hub_url="http://127.0.0.1:1",
        hub_token="none",
        TRIAGE_MIN_SPEAKERS="4",
        TRIAGE_MIN_MINUTES="0",
        MIN_NEW_SAMPLES="5",
        SCHEDULE_DAYS="0",
    )
    made.write_golden(["red", "green blue", "black"])
    yield made
    made.close()


def clips(n: int) -> list[NewClip]:
    return [
        NewClip(
            clip_id=str(i), speaker=f"s{i % 2}", text=word, duration_s=0.5, read=lambda word=word: say(word, seed=1)
        )
        for i, word in enumerate(list(WORDS)[i % 4] for i in range(n))
    ]


def test_only_the_drawn_clips_are_read_and_heard(tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "model")
    read: list[str] = []

    def reading(clip: NewClip) -> Any:
        def read_it() -> np.ndarray[Any, np.dtype[np.float32]]:
            read.append(clip.clip_id)
            return clip.read()

        return read_it

    new = [
        NewClip(clip_id=c.clip_id, speaker=c.speaker, text=c.text, duration_s=c.duration_s, read=reading(c))
        for c in clips(12)
    ]
    told: list[tuple[int, int]] = []
    found = triage_clips(
        model, new, config=TriageConfig(max_clips=5), on_progress=lambda n_done, n: told.append((n_done, n))
    )
    assert len(read) == 5
    assert told[-1] == (5, 5)
    assert (found.n_clips, found.n_heard, found.n_speakers, found.minutes) == (12, 5, 2, 0.1)
    assert found.wer.value > 0.5  # it has learned nothing yet


def test_a_declined_run_is_seen_by_the_operator_and_its_samples_wait(
    home: TrainerHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home.send_many(5, seed=3, contributors=3)
    workshop = Workshop(home.settings)
    stop = Event()
    worker = Worker(workshop, open_trainer(workshop, stop), stop, lease_s=30)
    (run,) = worker.work_once()
    assert (run.state, run.n_new, run.candidate_sha256) == ("no-train", 5, None)
    assert worker.work_once() == [], "the same samples start no second run"
    assert home.catalog.counts()["waiting"] == 5
    workshop.close()
    told = (home.folder / "logs" / "notifications.log").read_text()
    assert "5 new samples go on waiting" in told
    for name, value in home.variables.items():
        monkeypatch.setenv(name, value)
    capsys.readouterr()
    assert main(["status", "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)["runs"]
    assert shown["state"] == "no-train"
    assert shown["verdict"]["decision"] == "no-train"
    assert shown["verdict"]["reasons"] == ["3 people gave samples, at least 4 are asked for"]
    assert shown["verdict"]["proposals"] == ["collect corrections of 1 more people"]
    assert main(["status"]) == 0
    assert "no-train     3 people gave samples" in capsys.readouterr().out


def test_newcomers_start_the_next_run(home: TrainerHome) -> None:
    home.send_many(5, seed=3, contributors=3)
    workshop = Workshop(home.settings)
    stop = Event()
    worker = Worker(workshop, open_trainer(workshop, stop), stop, lease_s=30)
    worker.work_once()
    home.send_many(5, seed=4, contributors=3)
    (run,) = worker.work_once()
    assert (run.state, run.n_new) == ("no-train", 10)
    workshop.close()


def test_a_correction_is_scored_by_the_base_and_an_operator_sees_how_it_fits(
    home: TrainerHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corrected = home.send("ann", "corrected", "red green", say("red green", seed=1), heard="red blue")
    donated = home.send("ben", "donated", "black", say("black", seed=2))
    workshop = Workshop(home.settings)
    stop = Event()
    workshop.runs.request("on-demand")
    Worker(workshop, open_trainer(workshop, stop), stop, lease_s=30).work_once()
    workshop.close()
    for name, value in home.variables.items():
        monkeypatch.setenv(name, value)
    capsys.readouterr()
    assert main(["corpus", "review", "surprising", "--nats", "-100", "--json"]) == 0
    listed = {shown["sample_id"]: shown for shown in json.loads(capsys.readouterr().out)["samples"]}
    if donated in listed:  # by its worst token; there is nothing that was heard to compare it with
        assert listed[donated]["measures"]["worst_nats"] >= ODD_NATS
    shown = listed[corrected]
    measures = shown["measures"]
    assert shown["sample_id"] == corrected
    assert measures["surprise_nats"] == pytest.approx(measures["said_nats"] - measures["heard_nats"], abs=1e-3)
    assert measures["edit_share"] == 0.5
    assert main(["corpus", "show", corrected]) == 0
    assert "likely than what was heard" in capsys.readouterr().out
    assert main(["corpus", "show", donated]) == 0
    assert "likely than what was heard" not in capsys.readouterr().out
    assert home.catalog.counts()["waiting"] == 2


def test_switched_off_it_asks_nothing(home: TrainerHome) -> None:
    workshop = Workshop(replace(home.settings, triage="off"))
    stop = Event()
    with open_trainer(workshop, stop).permit("me", ttl_s=30) as permit:
        assert open_ports(workshop, permit).triage is None
    workshop.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "speech"
    folder.mkdir()
    rows = []
    for i in range(12):
        word = list(WORDS)[i % 4]
        (folder / f"{i}.wav").write_bytes(encode_wav(say(word, seed=i)))
        rows.append({"audio": f"{i}.wav", "text": word, "speaker": f"s{i % 3}"})
    (folder / "manifest.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return folder


def test_the_command_says_that_clips_teach_nothing_and_declines_them_if_asked_to(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from projectone.server.work import triage

    base = save_tiny(tmp_path / "base")
    hears_well = triage.score_model

    def perfect(folder: Path, golden: Any, **options: Any) -> Any:
        """As if the base had learned this language long ago."""
        report = hears_well(folder, golden, **options)
        texts = {clip.clip_id: clip.text for clip in golden.clips}
        right = [u.model_copy(update={"word_errors": 0, "hypothesis": texts[u.clip_id]}) for u in report.utterances]
        return report.model_copy(update={"utterances": tuple(right)})

    monkeypatch.setattr(triage, "score_model", perfect)
    command = ["train", "--base", str(base), "--data", str(data), "--out", str(tmp_path / "out"), "--max-steps", "1"]
    assert main([*command, "--only-if-useful", "--json"]) == EXIT_NO_TRAIN
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert answer["verdict"]["decision"] == "no-train"
    assert "already writes" in said.err
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.training").exists()
    assert main([*command, "--json"]) == 0
    assert "no-train" in capsys.readouterr().err
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_a_golden_set_that_shows_nothing_is_enough_to_decline(tmp_path: Path) -> None:
    power = GatePower(wer=0.0, standard_error=0.0, n_words=60)
    found = triage_clips(save_tiny(tmp_path / "model"), clips(8), power=power)
    assert found.decision == "no-train"
    assert "can confirm no gain at all" in " ".join(found.reasons)
