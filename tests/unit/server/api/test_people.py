"""Minors, and third people who were never asked: what says so is not taken (T22)."""

from __future__ import annotations

import pytest
from tests.fakes.caller import a_clip
from tests.unit.server.api.conftest import Backend, reason

from projectone.contracts.corrections import Correction

MARKS = [
    ({"is_adult": False}, "voice-minor"),
    ({"others_present": True}, "voice-others"),
    ({"is_adult": False, "others_present": True}, "voice-minor"),
]


@pytest.mark.parametrize(("marks", "why"), MARKS)
def test_what_is_marked_is_refused_and_nothing_of_it_is_kept(
    marks: dict[str, bool], why: str, backend: Backend
) -> None:
    ada = backend.caller()
    assert reason(ada.put(a_clip(), **marks)) == (422, why)
    assert (backend.catalog.waiting(), backend.files()) == ([], [])


@pytest.mark.parametrize("marks", [{}, {"is_adult": True, "others_present": False}])
def test_what_is_not_marked_is_taken(marks: dict[str, bool], backend: Backend) -> None:
    assert backend.caller().put(a_clip(), **marks).status_code == 201


def test_without_the_check_a_marked_clip_would_be_trained_on(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control run."""
    monkeypatch.setattr(Correction, "require_usable", lambda self: None)
    assert backend.caller().put(a_clip(), others_present=True).status_code == 201
    assert len(backend.catalog.waiting()) == 1
