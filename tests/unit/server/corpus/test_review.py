"""What is odd waits for a person; what they decide is kept, and erased with the sample."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from tests.unit.server.corpus.conftest import Corpus

from projectone.errors import DataError, LeaseError
from projectone.server.corpus.review import ODD_NATS, ODD_S, Checks, Reviews, is_odd
from projectone.server.corpus.validation import Findings
from projectone.server.database import Connection, reading

NOW = datetime(2026, 11, 2, tzinfo=UTC)
ODD = Findings(hold=("foreign-letters", "personal-card"), measures={"peak_db": -6.0})


@pytest.fixture
def reviews(corpus: Corpus) -> Reviews:
    return Reviews(corpus.catalog._engine, corpus.catalog.vault)


def hold(corpus: Corpus, reviews: Reviews, *, run_id: str = "run1") -> UUID:
    sample_id = corpus.send(text="\u0455even").sample_id
    reviews.note({str(sample_id): ODD}, run_id=run_id)
    return sample_id


def test_a_held_sample_neither_waits_nor_is_used_and_keeps_its_reasons(corpus: Corpus, reviews: Reviews) -> None:
    sample_id = hold(corpus, reviews)
    assert corpus.catalog.usable() == []
    assert corpus.catalog.counts()["held"] == 1
    (held,) = reviews.held(10)
    assert (held.sample_id, held.checks.held, held.checks.measures) == (sample_id, ODD.hold, {"peak_db": -6.0})
    assert reviews.held(10, reason="silence") == []
    state = corpus.catalog.state_of(sample_id, "ada")
    assert state is not None
    assert (state.state, state.reason) == ("held", "foreign-letters")


def test_what_is_accepted_waits_again_and_its_reasons_are_cleared(corpus: Corpus, reviews: Reviews) -> None:
    sample_id = hold(corpus, reviews)
    assert reviews.decide([sample_id], "accepted", by="grace", why="her name", now=NOW) == [sample_id]
    (row,) = corpus.catalog.waiting()
    checks = Checks.read(row.checks)
    assert checks.accepted == set(ODD.hold)
    assert [(item.decided_by, item.why) for item in checks.reviews] == [("grace", "her name")]
    # The next run measures it again and finds a new doubt: the old decision stays on the record.
    reviews.note({str(sample_id): Findings(hold=("personal-phone",))}, run_id="run2")
    (held,) = reviews.held(10)
    assert held.checks.held == ("personal-phone",)
    assert held.checks.accepted == set(ODD.hold)


def test_what_is_refused_is_discarded_with_its_reasons(corpus: Corpus, reviews: Reviews) -> None:
    sample_id = hold(corpus, reviews)
    reviews.decide([sample_id], "refused", by="grace", why=None, now=NOW)
    assert corpus.catalog.discard_reasons() == {"refused": 1}
    assert corpus.catalog.usable() == []


def test_a_decision_takes_all_or_none(corpus: Corpus, reviews: Reviews) -> None:
    sample_id = hold(corpus, reviews)
    with pytest.raises(DataError, match="held for review"):
        reviews.decide([sample_id, uuid4()], "refused", by="grace", why=None, now=NOW)
    assert corpus.catalog.counts()["held"] == 1


def test_a_withdrawal_takes_reasons_figures_and_decisions_along(corpus: Corpus, reviews: Reviews) -> None:
    sample_id = hold(corpus, reviews)
    reviews.decide([sample_id], "accepted", by="grace", why="heard it", now=NOW)
    corpus.catalog.withdraw(corpus.consent("ada"), "ada", NOW)
    assert reviews.note({str(sample_id): ODD}, run_id="run2") == 0
    with reading(corpus.catalog._engine) as connection:
        row = connection.execute(text("SELECT state, reason, checks FROM samples")).one()
    assert tuple(row) == ("erased", None, None)


def test_a_repeated_note_counts_the_same_and_a_lost_lease_notes_nothing(corpus: Corpus, reviews: Reviews) -> None:
    sample_id = str(corpus.send().sample_id)

    def refuse(connection: Connection) -> None:
        raise LeaseError("lost")

    with pytest.raises(LeaseError):
        reviews.note({sample_id: ODD}, run_id="run1", guard=refuse)
    assert reviews.held(10) == []
    assert [reviews.note(findings, run_id="run1") for findings in ({sample_id: ODD}, {})] == [1, 1]


def test_what_surprises_the_base_model_is_listed_first_and_stays_what_it_is_until_a_person_holds_it(
    corpus: Corpus, reviews: Reviews
) -> None:
    ids = [corpus.send(seed=seed).sample_id for seed in range(3)]
    reviews.add_measures({str(i): {"surprise_nats": float(n)} for n, i in enumerate(ids)})
    reviews.add_measures({str(ids[2]): {"said_nats": 3.5}})
    assert [sample.sample_id for sample in reviews.surprising(10, at_least=1.0)] == [ids[2], ids[1]]
    assert corpus.catalog.counts()["waiting"] == 3, "a figure holds and discards nothing"
    reviews.decide([ids[2]], "doubted", by="grace", why="not what I hear", now=NOW)
    (held,) = reviews.held(10)
    assert (held.sample_id, held.checks.held) == (ids[2], ("doubted",))
    assert held.checks.measures == {"surprise_nats": 2.0, "said_nats": 3.5}
    with pytest.raises(DataError, match="expected samples that wait"):
        reviews.decide([ids[2]], "doubted", by="grace", why=None, now=NOW)
    reviews.decide([ids[2]], "accepted", by="ada", why=None, now=NOW)
    assert corpus.catalog.counts()["waiting"] == 3


def test_one_odd_token_or_a_long_stretch_without_text_is_in_the_band_too() -> None:
    assert is_odd({"worst_nats": ODD_NATS}, 1.0)
    assert is_odd({"longest_token_s": ODD_S}, 1.0)
    assert is_odd({"surprise_nats": 1.0}, 1.0)
    assert not is_odd({"worst_nats": ODD_NATS - 0.1, "longest_token_s": ODD_S - 0.1, "surprise_nats": 0.9}, 1.0)
    assert not is_odd({}, 1.0)
