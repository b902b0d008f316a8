"""`corpus show` looks for a second voice as a run does, and where it does not, it says so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.unit.server.work.test_corpus import Auditor, auditor  # noqa: F401 - a fixture
from tests.unit.server.work.test_second_voices import Figure
from tests.unit.server.work.test_worker import make_office  # noqa: F401 - a fixture
from tests.unit.waveform.test_events import RATE_HZ, voice

from projectone.errors import DigestMismatchError
from projectone.server.voices.installed import Networks
from projectone.server.work import dossier

SETTING = "PROJECTONE_SERVER_HOLD_SPEAKERS"
UNHEARD = "would be let through; voices were not compared\n"


@pytest.fixture
def clip(auditor: Auditor) -> str:  # noqa: F811
    return auditor.office.home.send("ann", "sound", "red green", 3 * voice(1, n=2 * RATE_HZ))


def missing() -> None:
    return None


def wrong() -> Networks | None:
    raise DigestMismatchError("pytorch_model.bin", expected="0" * 64, actual="1" * 64)


@pytest.mark.parametrize(
    ("figure", "held", "told"),
    [(1.8, ["many-speakers"], "would be held: many-speakers\n"), (0.4, [], "would be let through\n")],
)
def test_a_second_voice_would_be_held_today_as_well(
    auditor: Auditor,  # noqa: F811
    clip: str,
    monkeypatch: pytest.MonkeyPatch,
    figure: float,
    held: list[str],
    told: str,
) -> None:
    monkeypatch.setenv(SETTING, "auto")
    monkeypatch.setattr(dossier, "open_networks", lambda: Figure(figure))
    shown = auditor.ask("show", clip)
    assert (shown["held_today"], shown["measured"]["second_voice"], shown["voices_compared"]) == (held, figure, True)
    assert told in auditor.say("show", clip)


@pytest.mark.parametrize(("setting", "networks"), [("auto", missing), ("auto", wrong), ("off", lambda: Figure(1.8))])
def test_where_nobody_compares_voices_it_is_not_said_that_they_were(
    auditor: Auditor,  # noqa: F811
    clip: str,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    networks: Callable[[], Networks | None],
) -> None:
    monkeypatch.setenv(SETTING, setting)
    monkeypatch.setattr(dossier, "open_networks", networks)
    assert auditor.ask("show", clip)["voices_compared"] is False
    assert UNHEARD in auditor.say("show", clip)


def test_without_networks_pitch_and_colour_are_compared_where_that_is_asked_for(
    auditor: Auditor,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dossier, "open_networks", missing)
    times = np.arange(2 * RATE_HZ) / RATE_HZ
    tones = sum(np.sin(2 * np.pi * 310 * k * times) / k**2 for k in range(1, 8))
    other = (0.3 * np.abs(np.sin(2 * np.pi * 1.5 * times)) * tones).astype(np.float32)
    both = np.concatenate([3 * voice(1, n=2 * RATE_HZ), other])
    sample = auditor.office.home.send("ann", "both", "red green", both)
    for setting, held in (("on", ["many-speakers"]), ("auto", [])):
        monkeypatch.setenv(SETTING, setting)
        shown = auditor.ask("show", sample)
        assert (shown["held_today"], shown["voices_compared"]) == (held, bool(held))


def test_a_clip_that_would_be_discarded_is_not_heard(
    auditor: Auditor,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    networks = Figure(5.0)
    monkeypatch.setenv(SETTING, "on")
    monkeypatch.setattr(dossier, "open_networks", lambda: networks)
    quiet = auditor.office.home.send("ann", "quiet", "red", np.zeros(RATE_HZ, np.float32))
    shown = auditor.say("show", quiet)
    assert "would be discarded: silence\n" in shown and networks.n_heard == 0
