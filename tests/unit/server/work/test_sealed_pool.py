"""How clips come to the processes that look at them: by memory, and by the pipe where that is full."""

from __future__ import annotations

import pytest
from tests.fakes.caller import a_clip

from projectone.server.work import sealed_pool
from projectone.server.work.look import Question, look_at_page
from projectone.server.work.sealed_pool import SharedMemory, warm_up


def test_what_does_not_fit_into_the_shared_memory_is_sent_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    page = [(Question(str(seed), "seven"), a_clip(seed, duration_s=0.2)) for seed in range(3)]
    n_bytes = len(page[0][1])
    monkeypatch.setattr(sealed_pool, "_SLOT_BYTES", 2 * n_bytes + 1)
    shared = SharedMemory(5 * n_bytes)
    monkeypatch.setattr(sealed_pool, "_shared", shared)
    try:
        sent = sealed_pool._lay(page, shared.view, n_bytes)
        assert [where for _, where in sent[:2]] == [(n_bytes, 2 * n_bytes), (2 * n_bytes, 3 * n_bytes)]
        assert sent[2] == page[2]
        assert sealed_pool._look_at_sent(sent) == look_at_page(page)
        assert {look.findings.discard for look in look_at_page(page)} == {None}
    finally:
        shared.close()


def test_what_a_process_looks_at_before_it_is_sealed_goes_through_everything() -> None:
    seen = warm_up()
    assert (seen.findings.discard, seen.findings.hold) == (None, ())
    assert seen.findings.measures["speech_ratio"] > 0.5
    assert seen.findings.measures["edit_share"] > 0
    assert seen.fingerprint is not None
