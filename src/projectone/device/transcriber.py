"""The installed model at work: loaded when first needed, swapped under load, never two models in one answer.

Readers count themselves in and out of the engine they got. A swap changes which engine the next reader gets; the last
reader of the old one closes it. Loading and trying happen before the swap, so nobody waits for them.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from projectone.device.heard import NO_HINTS, TEXT_ONLY, EngineHeard, Heard, Hints
from projectone.device.installed import Installed, Outcome
from projectone.errors import ArtifactError, LeaseError

SAMPLE_RATE_HZ = 16_000
Samples = npt.NDArray[np.float32]
_SILENCE: Samples = np.zeros(SAMPLE_RATE_HZ, dtype=np.float32)


class Engine(Protocol):
    """A loaded model. It is used by one thread at a time."""

    def transcribe(self, samples: Samples, hints: Hints = NO_HINTS) -> EngineHeard:
        """What is said in 16 kHz mono samples."""
        ...

    def close(self) -> None:
        """Let go of the memory."""
        ...


@dataclass(frozen=True)
class TrialClip:
    """A recording of this device's user and what the model in use made of it."""

    samples: Samples
    text: str


class _Held:
    """One engine and how many are using it."""

    def __init__(self, engine: Engine, version: str, folder: str) -> None:
        self.engine = engine
        self.version = version
        self.folder = folder
        self.users = 0
        self.is_retired = False
        self.decoding = threading.Lock()


class Transcriber:
    """Transcribes with the installed model, whichever that is at the moment of asking."""

    def __init__(
        self,
        installed: Installed,
        load: Callable[[Path], Engine],
        *,
        trial_clips: Callable[[], Sequence[TrialClip]] = tuple,
        terms: Callable[[], Sequence[str]] = tuple,
        on_heard: Callable[[Heard, float], object] = lambda heard, sound_s: None,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Nothing is loaded yet.

        Args:
            installed: The models on this device.
            load: Makes an engine from a model's folder.
            trial_clips: Some of the user's own recordings, to try a new model on.
            terms: The user's own names and words, asked for before each transcription.
            on_heard: Told of each transcription, but of no partial one, what was heard and how many seconds it lasts.
            timer: Seconds, from anywhere.
        """
        self._installed = installed
        self._load = load
        self._trial_clips = trial_clips
        self._terms = terms
        self._on_heard = on_heard
        self._timer = timer
        self._held: _Held | None = None
        self._pointer = threading.Lock()
        self._loading = threading.Lock()

    def transcribe(self, samples: Samples, *, is_partial: bool = False) -> Heard:
        """What is said in 16 kHz mono samples.

        Args:
            samples: In [-1, 1].
            is_partial: The sound goes on; a quick answer is wanted, without the times of its words. Nobody counts it.

        Raises:
            ArtifactError: if no whole model is installed.
        """
        hints = Hints(terms=tuple(self._terms()), want_words=not is_partial, is_partial=is_partial)
        with self._engine() as held, held.decoding:
            began = self._timer()
            said = held.engine.transcribe(samples, hints)
            heard = Heard(said.text, held.version, said.words, said.signals, terms=said.terms)
            heard = replace(heard, computing_s=self._timer() - began)
        if not is_partial:
            self._on_heard(heard, len(samples) / SAMPLE_RATE_HZ)
        return heard

    def try_new_model(self) -> Outcome[object] | None:
        """Load the model on trial, exercise it, and use it from now on. Only inside `Installed.changing`.

        Returns:
            What became of the trial; None if there was none.
        """
        outcome = self._installed.settle_trial(self._load_and_try)
        if outcome is None:
            return None
        if outcome.result is not None:
            self._swap(_Held(outcome.result, outcome.slot.version, outcome.slot.folder))
        return Outcome(outcome.slot, None, outcome.reason)

    def reload(self) -> None:
        """Use the model that is current now, where another one is in use."""
        with self._loading:
            current = self._installed.state().current
            if self._held is not None and current is not None and self._held.folder != current.folder:
                held = self._load_current()
                held.engine.transcribe(_SILENCE, TEXT_ONLY)  # warm before anybody waits for it
                self._swap(held)

    def close(self) -> None:
        """Let go of the model; whoever is using it finishes first."""
        self._swap(None)

    @contextlib.contextmanager
    def _engine(self) -> Iterator[_Held]:
        held = self._acquire() or self._first()
        try:
            yield held
        finally:
            self._release(held)

    def _acquire(self) -> _Held | None:
        with self._pointer:
            if self._held is not None:
                self._held.users += 1
            return self._held

    def _release(self, held: _Held) -> None:
        with self._pointer:
            held.users -= 1
            is_last = held.is_retired and held.users == 0
        if is_last:
            held.engine.close()

    def _first(self) -> _Held:
        """The model in use, loaded by the first thread that needs it while the others wait."""
        with self._loading:
            held = self._acquire()
            if held is not None:
                return held
            # An update that was interrupted is brought to its end here, unless another process is at it.
            with contextlib.suppress(LeaseError), self._installed.changing():
                self.try_new_model()
            held = self._acquire()
            if held is None:
                held = self._load_current()
                held.users = 1
                self._swap(held)
            return held

    def _load_current(self) -> _Held:
        slot = self._installed.usable()
        return _Held(self._load(self._installed.path_of(slot)), slot.version, slot.folder)

    def _swap(self, new: _Held | None) -> None:
        with self._pointer:
            old, self._held = self._held, new
            if old is None:
                return
            old.is_retired = True
            is_unused = old.users == 0
        if is_unused:
            old.engine.close()

    def _load_and_try(self, folder: Path) -> Engine:
        """A new model's engine, if it can be loaded, decodes silence, and still hears this user.

        Raises:
            ArtifactError: if it hears nothing in recordings in which the model before it heard something.
        """
        engine = self._load(folder)
        try:
            engine.transcribe(_SILENCE, TEXT_ONLY)
            spoken = [clip for clip in self._trial_clips() if clip.text.strip()]
            if spoken and not any(engine.transcribe(clip.samples, TEXT_ONLY).text.strip() for clip in spoken):
                raise ArtifactError(f"it heard nothing in {len(spoken)} recordings of this user that hold speech")
        except BaseException:
            engine.close()
            raise
        return engine
