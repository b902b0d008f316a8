"""Which sample stands for which, and what becomes of copies when it goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from tests.unit.server.corpus.conftest import Corpus

from projectone.errors import LeaseError
from projectone.server.corpus.collapsed import Collapsed
from projectone.server.corpus.duplicates import Copy
from projectone.server.corpus.history import Histories
from projectone.server.database import Connection, Engine, open_engine


@pytest.fixture
def engine(corpus: Corpus, tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    yield engine
    engine.dispose()


def withdraw(corpus: Corpus, person: str) -> None:
    assert corpus.catalog.withdraw(corpus.consents[person], person, corpus.tick()) is not None


def story(corpus: Corpus, engine: Engine, sample_id: UUID) -> tuple[str, str | None, UUID | None]:
    history = Histories(engine, corpus.catalog.vault).tell(str(sample_id))
    return history.sample.state, history.sample.reason, history.original_id


def test_a_copy_is_discarded_and_says_of_what(corpus: Corpus, engine: Engine) -> None:
    original, copy = corpus.send("ada", seed=1).sample_id, corpus.send("bob", seed=2).sample_id
    found = {str(copy): Copy("near-duplicate", str(original))}
    assert [Collapsed(engine).mark(found, run_id="run1") for _ in range(2)] == [1, 1], "a repeated node marks again"
    assert story(corpus, engine, copy) == ("discarded", "near-duplicate", original)
    assert Collapsed(engine).original_of(copy) == original
    assert story(corpus, engine, original) == ("waiting", None, None)
    assert corpus.blobs.has(str(Histories(engine, corpus.catalog.vault).tell(str(copy)).sample.clip_sha256)), (
        "nothing is deleted"
    )


def test_when_the_original_is_erased_its_copies_wait_again(corpus: Corpus, engine: Engine) -> None:
    original = corpus.send("ada", seed=1).sample_id
    copies = [corpus.send(person, seed=2).sample_id for person in ("bob", "cleo", "ada")]
    Collapsed(engine).mark({str(one): Copy("near-duplicate", str(original)) for one in copies}, run_id="run1")
    withdraw(corpus, "ada")
    assert {row.sample_id for row in corpus.catalog.waiting()} == set(copies[:2])
    assert [story(corpus, engine, one) for one in copies[:2]] == [("waiting", None, None)] * 2
    assert story(corpus, engine, copies[2]) == ("erased", None, None)


def test_a_text_that_its_author_replaced_does_not_come_back(corpus: Corpus, engine: Engine) -> None:
    newest, earlier = corpus.send("ada", seed=1).sample_id, corpus.send("bob", seed=2).sample_id
    Collapsed(engine).mark({str(earlier): Copy("superseded", str(newest))}, run_id="run1")
    withdraw(corpus, "ada")
    assert story(corpus, engine, earlier) == ("discarded", "superseded", None)


def test_of_an_erased_copy_nothing_says_what_it_was_a_copy_of(corpus: Corpus, engine: Engine) -> None:
    original, copy = corpus.send("ada", seed=1).sample_id, corpus.send("bob", seed=2).sample_id
    Collapsed(engine).mark({str(copy): Copy("near-duplicate", str(original))}, run_id="run1")
    withdraw(corpus, "bob")
    assert story(corpus, engine, copy) == ("erased", None, None)


def test_a_copy_whose_original_went_meanwhile_goes_on_waiting(corpus: Corpus, engine: Engine) -> None:
    original, copy = corpus.send("ada", seed=1).sample_id, corpus.send("bob", seed=2).sample_id
    withdraw(corpus, "ada")
    assert Collapsed(engine).mark({str(copy): Copy("near-duplicate", str(original))}, run_id="run1") == 0
    assert story(corpus, engine, copy) == ("waiting", None, None)


def test_an_erased_copy_stays_erased(corpus: Corpus, engine: Engine) -> None:
    original, copy = corpus.send("ada", seed=1).sample_id, corpus.send("bob", seed=2).sample_id
    withdraw(corpus, "bob")
    assert Collapsed(engine).mark({str(copy): Copy("near-duplicate", str(original))}, run_id="run1") == 0
    assert story(corpus, engine, copy) == ("erased", None, None)


def test_a_worker_that_lost_its_lease_marks_no_copy(corpus: Corpus, engine: Engine) -> None:
    original, copy = corpus.send("ada", seed=1).sample_id, corpus.send("bob", seed=2).sample_id

    def stale(connection: Connection) -> None:
        raise LeaseError("stale")

    with pytest.raises(LeaseError):
        Collapsed(engine).mark({str(copy): Copy("near-duplicate", str(original))}, run_id="run1", guard=stale)
    assert story(corpus, engine, copy) == ("waiting", None, None)
