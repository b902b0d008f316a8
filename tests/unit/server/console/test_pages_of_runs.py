"""A run that waits, from its report to the answer: pages of the real console over a real home."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.unit.server.evaluation.test_gate import report, utterance
from tests.unit.server.work.test_decisions_of_a_person import hold, say
from tests.unit.server.work.test_worker import Office, make_office

from projectone.contracts.scores import Verdict
from projectone.server.audit import AuditLog
from projectone.server.console.app import create_console
from projectone.server.devices.operators import OperatorTokens, Role
from projectone.server.pipeline.evaluate import VERDICT
from projectone.server.pipeline.state import DEPLOYMENT, EVALUATION
from projectone.server.pipeline.tiers import effect_of
from projectone.server.runs import Effects
from projectone.server.serve.console import console_services

__all__ = ["make_office"]  # a fixture
HOST = "localhost:8702"
ORIGIN = f"https://{HOST}"


class Reviewer:
    """A browser at the console, and what is behind it."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.now = datetime.now(UTC)
        self.tokens = OperatorTokens(office.home.engine)
        self.http = self.at_the_console()
        self.run_id = office.newest().run_id

    def at_the_console(self) -> TestClient:
        home = self.office.home
        services = console_services(home.settings, home.engine, lambda: self.now)
        return TestClient(
            create_console(services, [HOST]),  # type: ignore[arg-type]
            base_url=ORIGIN,
            follow_redirects=False,
        )

    def sign_in(self, role: Role = "reviewer") -> str:
        token = self.tokens.create("ada", role, lifetime=timedelta(days=1), by="test", now=self.now)[0]
        self.post("/sign-in", token=token)
        return token

    def post(self, path: str, **form: str) -> Any:
        return self.http.post(path, data=form, headers={"Origin": ORIGIN})

    def answer(self, said: str, run_id: str | None = None) -> Any:
        page = self.http.get("/runs").text
        found = re.search(r'name="form_token" value="([^"]+)"', page)
        assert found is not None
        return self.post(
            "/runs/decisions", form_token=found[1], run_id=run_id or self.run_id, answer=said, note="heard"
        )


@pytest.fixture
def reviewer(make_office: Callable[..., Office]) -> Iterator[Reviewer]:
    office = make_office()
    office.changes["judge"] = hold
    office.home.write_golden(["red blue", "green", "blue"])
    office.home.send_many(1, seed=3)
    office.workshop.runs.request("on-demand")
    office.worker.work_once()
    run_id = office.newest().run_id
    judged = Effects(office.home.engine, guard=lambda connection: None).find(run_id, EVALUATION, VERDICT)
    assert judged is not None
    folder = office.home.folder / "evaluations" / "0123-0.1.0-2"
    folder.mkdir(parents=True)
    heard = {"production_sha256": ("red blue", "green", ""), "candidate_sha256": ("red", "green", "blue")}
    for side, texts in heard.items():
        errors = [int(text != truth) for text, truth in zip(texts, ("red blue", "green", "blue"), strict=True)]
        made = [
            utterance(i, errors[i], words=2 if i == 0 else 1, text=texts[i]).model_copy(update={"clip_id": f"{i}.wav"})
            for i in range(3)
        ]
        (folder / f"{judged[side]}.json").write_bytes(report(made).to_bytes())
    yield Reviewer(office)


def test_the_report_says_what_got_better_and_worse_and_the_recordings_play(reviewer: Reviewer) -> None:
    reviewer.sign_in()
    assert f'href="/runs/{reviewer.run_id}"' in reviewer.http.get("/runs").text
    page = reviewer.http.get(f"/runs/{reviewer.run_id}").text
    assert "<strong>hold</strong>" in page and "may be chance" in page
    worse, better = page.index("What got worse: 1 clip"), page.index("What got better: 1 clip")
    assert worse < page.index('<span class="missing" title="left out">blue</span>') < better
    assert "1 clips have as many errors as before" in page
    sounds = re.findall(r'src="(/golden[^"]+)"', page)
    assert sounds == ["/golden?clip=0.wav", "/golden?clip=2.wav"]
    sound = reviewer.http.get(sounds[0])
    assert sound.content == (reviewer.office.home.folder / "golden" / "0.wav").read_bytes()
    assert sound.headers["content-type"] == "audio/wav"
    assert AuditLog(reviewer.office.home.engine).newest(1, act="clip-opened")[0].actor == "ada"


def test_no_other_recording_than_a_golden_one_is_played(reviewer: Reviewer) -> None:
    reviewer.sign_in()
    (sample,) = reviewer.office.home.catalog.living()
    for name in (str(sample.sample_id), "../keys/release.key", "nothing"):
        assert reviewer.http.get("/golden", params={"clip": name}).status_code == 409
    assert AuditLog(reviewer.office.home.engine).newest(1, act="clip-opened") == []


def test_a_reviewer_approves_after_showing_the_token_again(reviewer: Reviewer) -> None:
    token = reviewer.sign_in()
    reviewer.now += timedelta(minutes=6)
    assert reviewer.answer("approved").status_code == 403
    page = reviewer.http.get("/runs").text
    found = re.search(r'name="form_token" value="([^"]+)"', page)
    assert found is not None
    assert reviewer.post("/prove", form_token=found[1], token=token).status_code == 303
    assert reviewer.answer("approved").status_code == 303
    assert reviewer.answer("vetoed").status_code == 409
    (run,) = reviewer.office.worker.work_once()
    assert run.state == "succeeded"
    assert AuditLog(reviewer.office.home.engine).newest(1, act="run-approved")[0].actor == "ada"


def test_an_answer_from_a_page_that_was_read_before_the_run_was_judged_again_opens_nothing(reviewer: Reviewer) -> None:
    reviewer.sign_in()
    page = reviewer.http.get(f"/runs/{reviewer.run_id}").text
    form = {name: re.search(rf'name="{name}" value="([^"]+)"', page) for name in ("form_token", "subject")}
    read = {name: found[1] for name, found in form.items() if found is not None}
    other = {**read, "subject": read["subject"][::-1]}
    assert reviewer.post("/runs/decisions", run_id=reviewer.run_id, answer="approved", **other).status_code == 409
    assert reviewer.office.newest().state == "waiting"
    assert reviewer.post("/runs/decisions", run_id=reviewer.run_id, answer="approved", **read).status_code == 303


def test_whoever_does_not_review_decides_nothing(reviewer: Reviewer) -> None:
    reviewer.sign_in("trainer")
    assert reviewer.http.get("/runs").headers["location"] == "/sign-in"
    answer = reviewer.post("/runs/decisions", run_id=reviewer.run_id, answer="approved")
    assert answer.headers["location"] == "/sign-in"
    assert reviewer.office.newest().state == "waiting"


def test_the_same_as_one_file_needs_nothing_else(
    reviewer: Reviewer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.html"
    told, _ = say(reviewer.office, capsys, "report", reviewer.run_id[:8], "--out", str(out))
    assert (told["verdict"]["decision"], len(told["worse"]), len(told["better"]), told["n_same"]) == ("hold", 1, 1, 1)
    assert told["worse"][0]["after"] == [{"kind": "right", "text": "red"}, {"kind": "missing", "text": "blue"}]
    page = out.read_text()
    assert "What got worse: 1 clip" in page
    assert not re.search(r"<script|<audio|src=|href=|url\(", page)


def test_the_report_says_what_becomes_of_every_form_that_is_to_be_shipped(
    reviewer: Reviewer, capsys: pytest.CaptureFixture[str]
) -> None:
    reviewer.office.home.settings = replace(reviewer.office.home.settings, tiers=("int8", "int4", "coreml-int8"))
    told, _ = say(reviewer.office, capsys, "report", reviewer.run_id)
    assert [(tier["name"], tier["outcome"]) for tier in told["tiers"]] == [
        ("int8", "waits"), ("int4", "waits"), ("coreml-int8", "waits"),
    ]  # fmt: skip
    keep = Effects(reviewer.office.home.engine, guard=lambda connection: None)
    better = Verdict(decision="promote", reasons=("better by far",), gain=0.2, gain_low=0.1, gain_high=0.3)
    dearer = Verdict(decision="hold", reasons=("may be chance",), gain=-0.004, gain_low=-0.012, gain_high=0.003)
    passed = {"verdict": better.model_dump(mode="json"), "cost": dearer.model_dump(mode="json"), "objections": []}
    of_before = {"package": None, "verdict": None, "objections": ["it could not be made: no room"]}  # no wer, no cost
    for tier, made in (("int8", {"wer": 0.134, **passed}), ("int4", of_before)):
        keep.once(reviewer.run_id, DEPLOYMENT, effect_of(tier), {}, lambda made=made: made)
    told, _ = say(reviewer.office, capsys, "report", reviewer.run_id)
    assert [(tier["name"], tier["outcome"], tier["wer"]) for tier in told["tiers"]] == [
        ("int8", "goes out", 0.134), ("int4", "left out", None), ("coreml-int8", "waits", None),
    ]  # fmt: skip
    reviewer.http = reviewer.at_the_console()
    reviewer.sign_in()
    page = " ".join(re.sub("<[^>]+>", " ", reviewer.http.get(f"/runs/{reviewer.run_id}").text).split())
    assert "int8 goes out 13.4 % +20.0 (+10.0 to +30.0) +0.4 (-0.3 to +1.2) better by far" in page
    assert "int4 left out it could not be made: no room" in page
    assert "coreml-int8 waits is packed and judged once the model itself may go out" in page


def test_words_of_clips_that_people_lent_stay_out_of_the_file(
    reviewer: Reviewer, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = reviewer.office.home.folder / "golden" / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows[1:]))  # clip 0 lies open nowhere
    told, _ = say(reviewer.office, capsys, "report", reviewer.run_id)
    assert told["worse"][0]["reference"] is None
    assert told["worse"][0]["after"] == []


def test_a_run_without_a_verdict_has_no_report(reviewer: Reviewer) -> None:
    asked = reviewer.office.workshop.runs.request("on-demand")
    reviewer.sign_in()
    answer = reviewer.http.get(f"/runs/{asked.run_id}")
    assert answer.status_code == 409
    assert "no model of it was judged" in answer.text
