"""Which samples a run may take, and what became of the others."""

import uuid

import pytest
from tests.unit.server.corpus.conftest import START, Corpus

from projectone.errors import ConsentError


def test_waiting_samples_come_oldest_first(corpus: Corpus) -> None:
    rows = [corpus.send(text=text, seed=n) for n, text in enumerate(["one", "two", "three"])]
    assert corpus.catalog.waiting() == rows
    assert corpus.catalog.waiting_since() == rows[0].received_at > START


def test_used_samples_stay_usable_and_the_others_do_not(corpus: Corpus) -> None:
    rows = [corpus.send(seed=n) for n in range(4)]
    ids = [row.sample_id for row in rows]
    corpus.catalog.mark(ids[:1], "used", run_id="r1")
    corpus.catalog.mark([str(ids[1])], "discarded", reason="silence", run_id="r1")
    corpus.catalog.mark(ids[2:3], "quarantined", reason="reject", run_id="r1")
    assert [row.sample_id for row in corpus.catalog.waiting()] == ids[3:]
    assert [row.sample_id for row in corpus.catalog.usable()] == [ids[0], ids[3]]
    assert corpus.catalog.usable()[0].run_id == "r1"
    assert corpus.catalog.counts() == {
        "waiting": 1,
        "used": 1,
        "discarded": 1,
        "quarantined": 1,
        "erased": 0,
        "held": 0,
    }


def test_an_empty_catalog_waits_for_nothing(corpus: Corpus) -> None:
    assert corpus.catalog.waiting_since() is None
    assert set(corpus.catalog.counts().values()) == {0}


def test_nobody_but_a_withdrawal_erases(corpus: Corpus) -> None:
    row = corpus.send()
    with pytest.raises(ValueError, match="only a withdrawal erases"):
        corpus.catalog.mark([row.sample_id], "erased")


def test_marking_counts_what_it_changed(corpus: Corpus) -> None:
    rows = [corpus.send(seed=n) for n in range(3)]
    corpus.catalog.withdraw(corpus.consent("ada"), "ada", corpus.tick())
    other = corpus.send("bob")
    assert corpus.catalog.mark([row.sample_id for row in [*rows, other]], "used") == 1


def test_a_thousand_samples_are_marked_in_one_go(corpus: Corpus) -> None:
    row = corpus.send()
    assert corpus.catalog.mark([uuid.uuid4() for _ in range(1200)] + [row.sample_id], "used") == 1


def test_a_dataset_is_withdrawn_with_the_first_of_its_samples(corpus: Corpus) -> None:
    of_ada, of_bob = corpus.send("ada"), corpus.send("bob", seed=1)
    both, alone = "0" * 64, "1" * 64
    corpus.catalog.note_sealed(both, [of_ada.sample_id, of_bob.sample_id])
    corpus.catalog.note_sealed(alone, [of_bob.sample_id])
    assert not corpus.catalog.is_withdrawn(both)
    assert corpus.catalog.withdrawn_datasets() == set()
    corpus.catalog.withdraw(corpus.consent("ada"), "ada", corpus.tick())
    assert (corpus.catalog.is_withdrawn(both), corpus.catalog.is_withdrawn(alone)) == (True, False)
    assert corpus.catalog.withdrawn_datasets() == {both}
    assert not corpus.catalog.is_withdrawn("2" * 64)  # nobody sealed it


def test_a_withdrawn_sample_cannot_be_sealed(corpus: Corpus) -> None:
    row = corpus.send()
    corpus.catalog.note_sealed("0" * 64, [row.sample_id])
    corpus.catalog.note_sealed("0" * 64, [row.sample_id])  # again: nothing changes
    corpus.catalog.withdraw(corpus.consent("ada"), "ada", corpus.tick())
    with pytest.raises(ConsentError, match="seal it again"):
        corpus.catalog.note_sealed("1" * 64, [row.sample_id])
