"""`projectone-server golden`: people who agreed to it judge models, and nothing of theirs is learned from (T27)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.fakes.tiny_whisper import say
from tests.unit.server.work.test_worker import Office, make_office  # noqa: F401 - a fixture

from projectone.contracts.consent import ConsentReceipt, ConsentScope
from projectone.errors import EvaluationError
from projectone.server.cli import main
from projectone.server.corpus.golden_set import GOLDEN, GOLDEN_PERSON, GOLDEN_VERSIONS, GoldenSets
from projectone.server.corpus.retention import withdraw
from projectone.server.database import writing

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Curator:
    """Somebody at the server's terminal, and the people who send."""

    def __init__(self, office: Office, capsys: pytest.CaptureFixture[str]) -> None:
        self.office = office
        self.home = office.home
        self._capsys = capsys

    def say(self, *arguments: str, code: int = 0) -> str:
        self._capsys.readouterr()
        assert main(["golden", *arguments]) == code
        captured = self._capsys.readouterr()
        return captured.err if code == 2 else captured.out

    def ask(self, *arguments: str) -> Any:
        return json.loads(self.say(*arguments, "--json"))

    def agree(self, person: str, scope: ConsentScope = "evaluation") -> ConsentReceipt:
        receipt = ConsentReceipt(
            receipt_id=uuid.uuid5(uuid.NAMESPACE_OID, f"{person}/{scope}"),
            contributor_id=person,
            scope=scope,
            text_version=1,
            method="demo",
            granted_at=NOW,
        )
        return self.home.catalog.grant(receipt, NOW)

    def send(self, person: str, text: str, seed: int) -> str:
        return self.home.send(person, f"{text}-{seed}", text, say(text, seed=seed))

    def run(self) -> Any:
        self.office.workshop.runs.request("on-demand")
        (run,) = self.office.worker.work_once()
        return run

    def states(self) -> dict[str, tuple[str, str | None]]:
        return {str(row.sample_id): (row.state, row.reason) for row in self.home.catalog.living()}

    def two_judges(self) -> tuple[str, str]:
        """One person in the main part, one in the canary; both sealed."""
        samples = []
        for n, (person, part) in enumerate((("judy", "main"), ("cora", "canary"))):
            self.agree(person)
            samples.append(self.send(person, "red green" if n else "blue black", 70 + n))
            self.say("accept", samples[-1], "--part", part)
            self.say("seal", "--part", part)
        return samples[0], samples[1]


@pytest.fixture
def curator(
    make_office: Callable[..., Office],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Curator:
    office = make_office()
    office.changes["canary"] = lambda sha256: None  # the tiny trainer's models are bytes that nobody can listen with
    for name, value in office.home.variables.items():
        monkeypatch.setenv(name, value)
    return Curator(office, capsys)


def test_samples_of_those_who_agreed_are_candidates_and_no_others(curator: Curator) -> None:
    curator.agree("judy")
    judys = curator.send("judy", "red green", 1)
    curator.send("ann", "blue", 2)
    assert [one["sample_id"] for one in curator.ask("candidates")["candidates"]] == [judys]
    assert judys in curator.say("candidates")
    assert curator.ask("refuse", judys[:8], judys) == {"refused": 1}
    assert curator.ask("candidates")["candidates"] == []


def test_who_was_trained_on_never_judges(curator: Curator) -> None:
    sample = curator.send("judy", "red green", 1)
    curator.run()
    curator.agree("judy")
    later = curator.send("judy", "blue black", 2)
    assert curator.ask("candidates")["candidates"] == []
    for one in (sample, later):
        assert "is no candidate" in curator.say("accept", one, code=2)


def test_who_judges_is_never_trained_on_not_even_with_what_comes_later(curator: Curator) -> None:
    main_sample, canary_sample = curator.two_judges()
    later = curator.send("judy", "red red black", 3)
    anns = curator.send("ann", "blue", 4)
    run = curator.run()
    assert (run.state, run.n_items) == ("succeeded", 1)
    states = curator.states()
    assert states[main_sample] == states[canary_sample] == ("held", GOLDEN)
    assert states[later] == ("held", GOLDEN_PERSON)
    assert states[anns][0] == "used"


def test_without_setting_aside_the_judges_voice_would_be_trained_on(
    curator: Curator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control run."""
    curator.two_judges()
    later = curator.send("judy", "red red black", 3)
    monkeypatch.setattr(GoldenSets, "set_aside", lambda sets: 0)
    monkeypatch.setattr(type(curator.office.workshop.scores), "speakers", lambda scores: frozenset(), raising=False)
    curator.run()
    assert curator.states()[later][0] == "used"


def test_a_person_is_in_one_part_only(curator: Curator) -> None:
    curator.agree("judy")
    first, second = curator.send("judy", "red green", 1), curator.send("judy", "blue black", 2)
    curator.say("accept", first[:8])
    assert "is in the other part" in curator.say("accept", second, "--part", "canary", code=2)
    assert curator.ask("accept", second) == {"accepted": 1, "part": "main"}


def test_a_sealed_version_judges_runs_beside_the_manifest(curator: Curator) -> None:
    n_before = len(curator.office.workshop.scores.golden().clips)
    sample, secret = curator.two_judges()
    golden, canary = curator.office.workshop.scores.golden(), curator.office.workshop.canary.golden()
    assert len(golden.clips) == n_before + 1
    assert sample in {clip.clip_id for clip in golden.clips}
    assert [clip.clip_id for clip in canary.clips] == [secret]
    assert {clip.sha256 for clip in canary.clips}.isdisjoint(clip.sha256 for clip in golden.clips)
    shown = curator.ask("show")
    assert (shown["main"]["n_clips"], shown["canary"]["n_clips"]) == (1, 1)
    assert set(shown["main"]["slices"]) == {"accent", "length", "noise", "vocabulary"}
    assert "slices" not in shown["canary"], "of the secret set nothing but its size is told"
    assert "main    version 1" in curator.say("show")


def test_nothing_accepted_is_nothing_sealed(curator: Curator) -> None:
    assert "nothing was accepted" in curator.say("seal", code=2)
    assert curator.say("show") == "no version was sealed yet\n"


@pytest.mark.parametrize("scope", ["evaluation", "corrections"])
def test_whoever_withdraws_leaves_the_set_at_once(curator: Curator, scope: ConsentScope) -> None:
    sample, _ = curator.two_judges()
    before = curator.office.workshop.scores.golden()
    receipt = curator.agree("judy") if scope == "evaluation" else curator.home.grant("judy")
    withdraw(curator.home.catalog, curator.home.blobs, receipt.receipt_id, contributor_id="judy", now=NOW)
    after = curator.office.workshop.scores.golden()
    assert sample not in {clip.clip_id for clip in after.clips}
    assert after.sha256 != before.sha256, "scores of another set are not compared"
    assert "1 were withdrawn, seal a new one" in curator.say("show")


def test_who_judges_no_more_is_held_no_more_and_asked_again_before_they_judge(curator: Curator) -> None:
    sample, _ = curator.two_judges()
    later = curator.send("judy", "blue", 5)
    curator.office.workshop.golden.set_aside()
    assert curator.states()[later] == ("held", GOLDEN_PERSON)
    withdraw(
        curator.home.catalog,
        curator.home.blobs,
        curator.agree("judy").receipt_id,
        contributor_id="judy",
        now=NOW,
    )
    curator.office.workshop.golden.set_aside()
    # The corrections that they were given as are still allowed.
    assert [curator.states()[one] for one in (sample, later)] == [("waiting", None), ("waiting", None)]
    curator.run()
    assert curator.states()[sample][0] == "used"
    assert "nothing was accepted" in curator.say("seal", code=2)


def test_what_the_golden_set_holds_waits_for_no_review(curator: Curator, capsys: pytest.CaptureFixture[str]) -> None:
    sample, _ = curator.two_judges()
    capsys.readouterr()
    assert main(["corpus", "review"]) == 0
    assert capsys.readouterr().out == "nothing waits for a review\n"
    for deed in ("accept", "refuse"):
        assert main(["corpus", "review", deed, sample]) == 2
    assert curator.states()[sample] == ("held", GOLDEN)
    capsys.readouterr()
    main(["corpus", "show", sample])
    assert "golden: it is in the golden set" in capsys.readouterr().out


def test_a_version_that_was_changed_behind_its_seal_judges_nothing(curator: Curator) -> None:
    curator.two_judges()
    with curator.home.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE golden_members SET leaf = '{'0' * 64}'")
    with pytest.raises(EvaluationError, match="not those that were sealed"):
        curator.office.workshop.scores.golden()
    with writing(curator.home.engine) as connection:
        connection.execute(GOLDEN_VERSIONS.update().values(part="canary"))
    with pytest.raises(EvaluationError):
        curator.office.workshop.canary.golden()
