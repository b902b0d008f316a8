"""The same answer again for the same owner, for a time, within limits; for nobody else, and not a second longer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.fakes.generators import OWNER, Piecewise, Scripted, asked, failing

from projectone.assist.generation.cache import ANSWERS_KEPT, CachedGenerator, KeptAnswers, Limits
from projectone.assist.generation.protocol import Answer, Cost, GenerationError
from projectone.assist.vectors.protocol import Owner
from projectone.storage.database import Database


class Clock:
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "rows.sqlite", (ANSWERS_KEPT,))


@pytest.fixture
def clock() -> Clock:
    return Clock()


def cached(database: Database, clock: Clock, inner: Scripted, **changes: object) -> CachedGenerator:
    limits = changes.pop("limits", None)
    return CachedGenerator(inner, KeptAnswers(database, limits), clock=clock, **changes)  # type: ignore[arg-type]


def test_the_same_question_is_asked_once_and_a_near_one_too(database: Database, clock: Clock) -> None:
    inner = Scripted("eight degrees", "another")
    cache = cached(database, clock, inner)
    first = cache.generate(asked("What's the weather?"))
    exact = cache.generate(asked("What's the weather?"))
    near = cache.generate(asked("what is the weather"))
    assert (first.cached, exact.cached, near.cached) == ("no", "exact", "near")
    assert {answer.text for answer in (first, exact, near)} == {"eight degrees"}
    assert (near.by, near.model_version, near.cost) == ("scripted", "s1", Cost())
    assert len(inner.requests) == 1
    assert cache.generate(asked("what is not the weather")).text == "another"


@pytest.mark.parametrize(
    "change",
    [
        {"owner": Owner("home", "ben")},
        {"owner": Owner("office", "anna")},
        {"seed": 1},
        {"temperature": 0.1},
        {"max_tokens": 9},
        {"system": "Be brief."},
        {"kind": "policy"},
        {"facts": {"policy": "x"}},
        {"prompt": "how cold is it"},
    ],
)
def test_whatever_shapes_an_answer_is_part_of_its_key(
    database: Database, clock: Clock, change: dict[str, object]
) -> None:
    inner = Scripted("first", "second")
    cache = cached(database, clock, inner)
    cache.generate(asked())
    assert cache.generate(asked(**{"prompt": "how warm is it", **change})).text == "second"  # type: ignore[arg-type]


def test_another_model_or_other_words_around_it_are_asked_anew(database: Database, clock: Clock) -> None:
    cached(database, clock, Scripted("old")).generate(asked())
    assert cached(database, clock, Scripted("new", model_version="s2")).generate(asked()).text == "new"
    assert cached(database, clock, Scripted("newer"), wording="2").generate(asked()).text == "newer"
    assert cached(database, clock, Scripted("x")).generate(asked()).text == "old"


def test_a_deadline_is_no_part_of_the_key(database: Database, clock: Clock) -> None:
    cache = cached(database, clock, Scripted("first", "second"))
    cache.generate(asked(deadline_s=1.0))
    assert cache.generate(asked(deadline_s=2.0)).text == "first"


def test_an_answer_whose_time_is_over_is_not_given_though_nobody_swept(database: Database, clock: Clock) -> None:
    cache = cached(database, clock, Scripted("old", "new"), limits=Limits(kept_for=timedelta(hours=1)))
    cache.generate(asked())
    clock.now += timedelta(hours=1)
    (row,) = database.query("SELECT count(*) AS n FROM answers_kept")
    assert row["n"] == 1  # still there
    assert cache.generate(asked()).text == "new"
    (row,) = database.query("SELECT count(*) AS n FROM answers_kept")
    assert row["n"] == 1  # swept with the next one


def test_who_was_used_longest_ago_goes_first(database: Database, clock: Clock) -> None:
    kept = KeptAnswers(database, Limits(n_answers=3))
    cache = CachedGenerator(Scripted("x"), kept, clock=clock)
    for prompt in ("one apple", "two pears", "three plums"):
        cache.generate(asked(prompt))
        clock.now += timedelta(seconds=1)
    cache.generate(asked("one apple"))  # used again
    clock.now += timedelta(seconds=1)
    cache.generate(asked("four figs"))
    left = {row["prompt"] for row in database.query("SELECT prompt FROM answers_kept")}
    assert left == {"one apple", "three plums", "four figs"}


def test_size_is_bounded_for_each_owner(database: Database, clock: Clock) -> None:
    cache = cached(database, clock, Scripted("x" * 400), limits=Limits(size_bytes=2_000))
    for number in range(10):
        cache.generate(asked(f"question {number}"))
        clock.now += timedelta(seconds=1)
    cache.generate(asked("other", owner=Owner("home", "ben")))
    sizes = {
        row["owner"]: row["size"]
        for row in database.query("SELECT owner, sum(size) AS size FROM answers_kept GROUP BY owner")
    }
    assert sizes[OWNER.key] <= 2_000
    assert len(sizes) == 2
    cached(database, clock, Scripted("x" * 4_000), limits=Limits(size_bytes=2_000)).generate(asked("long"))
    assert database.query("SELECT 1 FROM answers_kept WHERE prompt = 'long'") == []


def test_forgetting_takes_one_owners_answers_out_of_every_byte(
    tmp_path: Path, database: Database, clock: Clock
) -> None:
    kept = KeptAnswers(database)
    cache = CachedGenerator(Scripted("it is a zebra"), kept, clock=clock)
    cache.generate(asked("which animal is striped"))
    cache.generate(asked("which animal is striped", owner=Owner("home", "ben")))
    assert kept.forget(OWNER) == 1
    assert (kept.count(OWNER, clock.now), kept.count(Owner("home", "ben"), clock.now)) == (0, 1)
    assert kept.forget(Owner("home", "ben")) == 1
    database.empty_log()
    assert b"zebra" not in b"".join(path.read_bytes() for path in tmp_path.glob("rows.sqlite*"))


def test_what_failed_is_not_kept(database: Database, clock: Clock) -> None:
    cache = cached(database, clock, Scripted(failing(), "well again"))
    with pytest.raises(GenerationError):
        cache.generate(asked())
    assert cache.generate(asked()).text == "well again"


def test_a_stream_is_kept_when_it_is_whole_and_not_when_it_is_cut(database: Database, clock: Clock) -> None:
    cut = cached(database, clock, Piecewise(["a", "b"], failing("cut")))
    with pytest.raises(GenerationError):
        list(cut.stream(asked()))
    whole = cached(database, clock, Piecewise(["a", "b"], "ab", "no"))
    *pieces, _ = whole.stream(asked())
    assert pieces == ["a", "b"]
    *pieces, answer = whole.stream(asked())
    assert pieces == ["ab"]
    assert isinstance(answer, Answer) and (answer.text, answer.cached) == ("ab", "exact")


def test_a_store_that_fails_is_no_reason_to_fail(database: Database, clock: Clock) -> None:
    cache = cached(database, clock, Scripted("yes"))
    database.execute("DROP TABLE answers_kept")
    assert cache.generate(asked()).text == "yes"


def test_near_answers_can_be_switched_off(database: Database, clock: Clock) -> None:
    cache = cached(database, clock, Scripted("first", "second"), is_near_allowed=False)
    cache.generate(asked("What's up?"))
    assert cache.generate(asked("what is up")).text == "second"


def test_limits_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="expected more than nothing"):
        Limits(n_answers=0)
