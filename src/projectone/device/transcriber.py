"""The installed speech model at work. How it is loaded, swapped and tried: see `in_use`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from projectone.device import in_use
from projectone.device.heard import NO_HINTS, TEXT_ONLY, EngineHeard, Heard, Hints, OnProgress
from projectone.device.in_use import InUse, MayGoOn, Watch
from projectone.device.installed import Installed, Outcome, Slot

SAMPLE_RATE_HZ = 16_000
Samples = npt.NDArray[np.float32]
_SILENCE: Samples = np.zeros(SAMPLE_RATE_HZ, dtype=np.float32)

ModelTrial = in_use.ModelTrial[Samples, str]
"""What a new model must get through; see `acceptance`."""


class Engine(Protocol):
    """A loaded model. It is used by one thread at a time."""

    def transcribe(self, samples: Samples, hints: Hints = NO_HINTS) -> EngineHeard:
        """What is said in 16 kHz mono samples."""
        ...

    def close(self) -> None:
        """Let go of the memory."""
        ...


class _Warming:
    """The least that a new model must do: decode something."""

    def hear_before(self, version: str, hear: Callable[[Samples], str]) -> None:
        """Nothing to compare with."""

    def hear_after(self, hear: Callable[[Samples], str]) -> None:
        """Whatever it raises speaks against the model."""
        hear(_SILENCE)


class Transcriber:
    """Transcribes with the installed model, whichever that is at the moment of asking."""

    def __init__(
        self,
        installed: Installed,
        load: Callable[[Path], Engine],
        *,
        begin_trial: Callable[[Slot, MayGoOn], ModelTrial] = lambda slot, may_go_on: _Warming(),
        has_room: Callable[[Path], bool] = lambda folder: True,
        watch: Watch | None = None,
        terms: Callable[[], Sequence[str]] = tuple,
        on_heard: Callable[[Heard, float], object] = lambda heard, sound_s: None,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Nothing is loaded yet.

        Args:
            installed: The models on this device.
            load: Makes an engine from a model's folder.
            begin_trial: What a new model must get through; it is given a release, and what to ask before each step.
            has_room: Whether there is memory for the model in a folder beside the one that is loaded.
            watch: Told of what happens to the model in use.
            terms: The user's own names and words, asked for before each transcription.
            on_heard: Told of each transcription, but of no partial one, what was heard and how many seconds it lasts.
            timer: Seconds, from anywhere.
        """
        self._terms = terms
        self._on_heard = on_heard
        self._timer = timer
        self._in_use: InUse[Engine, Samples, str] = InUse(
            installed, load, _text, begin_trial=begin_trial, warm=_decode_silence, has_room=has_room, watch=watch
        )

    @property
    def is_in_gap(self) -> bool:
        """Whether nobody can transcribe just now, because a model takes the place of another."""
        return self._in_use.is_in_gap

    def transcribe(self, samples: Samples, *, is_partial: bool = False, on_progress: OnProgress | None = None) -> Heard:
        """What is said in 16 kHz mono samples.

        Args:
            samples: In [-1, 1].
            is_partial: The sound goes on; a quick answer is wanted, without the times of its words. Nobody counts it.
            on_progress: As `Hints.on_progress`.

        Raises:
            ArtifactError: if no whole model is installed.
        """
        hints = Hints(tuple(self._terms()), want_words=not is_partial, is_partial=is_partial, on_progress=on_progress)
        with self._in_use.engine() as held, held.turn:
            began = self._timer()
            said = held.engine.transcribe(samples, hints)
            heard = Heard(said.text, held.version, said.words, said.signals, terms=said.terms)
            heard = replace(heard, computing_s=self._timer() - began)
        if not is_partial:
            self._on_heard(heard, len(samples) / SAMPLE_RATE_HZ)
        return heard

    def try_new_model(self, may_go_on: MayGoOn = lambda: True) -> Outcome[object] | None:
        """Load the model on trial, exercise it, and use it from now on, as `InUse.try_new_model`.

        Raises:
            PostponedError: if this is not the moment.
        """
        return self._in_use.try_new_model(may_go_on)

    def reload(self) -> None:
        """Use the model that is current now, where another one is in use."""
        self._in_use.reload()

    def close(self) -> None:
        """Let go of the model; whoever is using it finishes first."""
        self._in_use.close()


def _text(engine: Engine, samples: Samples) -> str:
    return engine.transcribe(samples, TEXT_ONLY).text


def _decode_silence(engine: Engine) -> None:
    _text(engine, _SILENCE)
