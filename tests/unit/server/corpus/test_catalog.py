"""Which samples a run may take, and what became of the others."""

import gc
import tracemalloc
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import insert, update
from tests.unit.server.corpus.conftest import START, Corpus

from projectone.contracts.audio import AudioClip
from projectone.contracts.corrections import Correction
from projectone.errors import ConsentError
from projectone.server.corpus.sample_words import sealed_row
from projectone.server.corpus.tables import SAMPLES
from projectone.server.database import writing


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


def test_pages_give_what_a_list_gives_in_its_order(corpus: Corpus) -> None:
    rows = [corpus.send(seed=n) for n in range(7)]
    for n_rows in (1, 3, 7, 100):
        pages = list(corpus.catalog.usable_pages(n_rows))
        assert [row for page in pages for row in page] == rows == corpus.catalog.usable()
        assert max(len(page) for page in pages) <= n_rows


def test_a_page_of_damaged_rows_is_not_the_end(corpus: Corpus) -> None:
    rows = [corpus.send(seed=n) for n in range(6)]
    with writing(corpus.catalog._engine) as connection:
        broken = SAMPLES.c.sample_id.in_([row.sample_id for row in rows[:3]])
        connection.execute(update(SAMPLES).where(broken).values(words=b"rot"))
    assert [row for page in corpus.catalog.usable_pages(2) for row in page] == rows[3:]


def test_what_is_discarded_or_withdrawn_between_two_pages_is_left_out(corpus: Corpus) -> None:
    rows = [corpus.send(person) for person in ("ada", "bob", "ada", "eve", "bob")]
    pages = corpus.catalog.usable_pages(1)
    assert next(pages) == rows[:1]
    corpus.catalog.mark([rows[3].sample_id], "discarded", reason="silence")
    corpus.catalog.withdraw(corpus.consent("ada"), "ada", corpus.tick())
    assert [row for page in pages for row in page] == [rows[1], rows[4]]


def fill(corpus: Corpus, n_samples: int) -> None:
    """Rows as uploads leave them, without their clips."""
    consent_id, rows = corpus.consent("ada"), []
    for number in range(n_samples):
        correction = Correction(
            sample_id=uuid.uuid4(),
            contributor_id="ada",
            kind="correction",
            audio=AudioClip(sha256=f"{number:064x}", size_bytes=9644, sample_rate_hz=16000, duration_s=0.3),
            text=f"this is what somebody said {number}",
            consent_receipt_id=consent_id,
            recorded_at=START,
        )
        kept = {"clip_sha256": f"{number:064x}", "duration_s": 0.3, "state": "waiting"}
        at = START + timedelta(seconds=number)
        rows.append(sealed_row(correction, "device", corpus.catalog.vault) | kept | {"received_at": at})
    with writing(corpus.catalog._engine) as connection:
        connection.execute(insert(SAMPLES), rows)


def peak_bytes(read: Callable[[], int]) -> int:
    """The most that is allocated meanwhile; what is remembered for good is there before.

    The least of three times: what else is in this process may be let go of, or begin something, in one of them.
    """
    read()
    peaks = []
    for _ in range(3):
        gc.collect()
        tracemalloc.start()
        try:
            read()
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return min(peaks)


def test_a_corpus_ten_times_as_large_takes_no_more_memory_in_pages(corpus: Corpus) -> None:
    def in_pages() -> int:
        return sum(len(page) for page in corpus.catalog.usable_pages(50))

    def in_one_list() -> int:
        return len(corpus.catalog.usable())

    fill(corpus, 100)
    few_in_pages, few_in_one = peak_bytes(in_pages), peak_bytes(in_one_list)
    fill(corpus, 900)
    assert (in_pages(), in_one_list()) == (1000, 1000)
    assert peak_bytes(in_pages) < 1.5 * few_in_pages
    assert peak_bytes(in_one_list) > 5 * few_in_one, "a list would show it"


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
