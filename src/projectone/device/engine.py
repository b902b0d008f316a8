"""A Whisper checkpoint as the transcriber wants it, on a thread of its own (see `speech.threads`)."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from projectone.device.heard import NO_HINTS, EngineHeard, Hints, OnProgress, Signals, Word
from projectone.errors import SettingsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from projectone.speech.biasing import TermBias
    from projectone.speech.checkpoint import WhisperCheckpoint
    from projectone.speech.int8 import Numerics
    from projectone.speech.threads import MlxThread
    from projectone.speech.tokenizer import Tokenizer
    from projectone.speech.transcription import Window


class SpeechEngine:
    """A loaded model; see `transcriber.Engine`."""

    def __init__(self, thread: MlxThread, checkpoint: WhisperCheckpoint, language: str) -> None:
        self._thread = thread
        self._checkpoint: WhisperCheckpoint | None = checkpoint
        self._language = language
        self._bias: tuple[tuple[str, ...], TermBias | None] = ((), None)

    def transcribe(self, samples: npt.NDArray[np.float32], hints: Hints = NO_HINTS) -> EngineHeard:
        """What is said in 16 kHz mono samples.

        Raises:
            SettingsError: if the model does not know the language.
        """
        is_given_up = threading.Event()

        def on_window(done_s: float, total_s: float) -> None:
            if is_given_up.is_set():
                raise KeyboardInterrupt
            if hints.on_progress is not None:
                hints.on_progress(done_s, total_s)

        try:
            return self._thread.run(lambda: self._transcribe(samples, hints, on_window))
        except BaseException:
            is_given_up.set()  # Ctrl-C ends the waiting here; an hour of sound must not be heard out over there
            raise

    def close(self) -> None:
        """Let go of the weights, on their own thread."""
        self._thread.run(self._forget)
        self._thread.close()

    def _transcribe(self, samples: npt.NDArray[np.float32], hints: Hints, on_window: OnProgress) -> EngineHeard:
        from projectone.speech.transcribe import GREEDY_TEMPERATURES, TEMPERATURES, TranscribeOptions, transcribe

        assert self._checkpoint is not None, "a closed engine is never used"
        known = self._checkpoint.tokenizer.languages
        if known and self._language not in known:
            raise SettingsError(f"PROJECTONE_LANGUAGE: expected one of {', '.join(known)}, got {self._language!r}")
        options = TranscribeOptions(
            language=self._language,
            temperatures=GREEDY_TEMPERATURES if hints.is_partial else TEMPERATURES,
            words=hints.want_words and not hints.is_partial,
            bias=self._bias_of(hints.terms, self._checkpoint.tokenizer),
            # A third of the time, and as many words right (docs/live.md): models from here are trained on both.
            short_context=hints.is_partial,
        )
        heard = transcribe(self._checkpoint, samples, options=options, on_window=on_window)
        words = tuple(
            Word(word.text, word.start_s, word.end_s, word.probability)
            for segment in heard.segments
            for word in segment.words
        )
        return EngineHeard(heard.text, words, _signals(heard.windows), heard.terms)

    def _bias_of(self, terms: tuple[str, ...], tokenizer: Tokenizer) -> TermBias | None:
        """The list in this model's tokens; made anew only when it changed."""
        from projectone.speech.biasing import TermBias

        if terms != self._bias[0]:
            self._bias = terms, TermBias(terms, tokenizer) if terms else None
        return self._bias[1]

    def _forget(self) -> None:
        self._checkpoint = None


def load_engine(folder: Path, *, language: str, numerics: Numerics) -> SpeechEngine:
    """The model in a folder, ready to be used.

    Raises:
        ArtifactError: naming the file, key or tensor that is not as it must be.
        SettingsError: if what it computes with is not installed.
    """
    # Imported here: mlx takes a second to load, and `status` or `sync` need none of it.
    try:
        from projectone.speech.int8 import load_for_inference
        from projectone.speech.threads import MlxThread
    except ImportError as error:
        raise SettingsError(f"transcription needs pip install 'projectone[device]' ({error})") from error
    thread = MlxThread("projectone-engine")
    try:
        checkpoint = thread.run(lambda: load_for_inference(folder, numerics))
        return SpeechEngine(thread, checkpoint, language)
    except BaseException:
        thread.close()
        raise


def _signals(windows: tuple[Window, ...]) -> Signals:
    length_s = sum(window.duration_s for window in windows)
    return Signals(
        sum(window.avg_logprob * window.duration_s for window in windows) / length_s,
        max(window.compression_ratio for window in windows),
        max(window.no_speech_prob for window in windows),
        max(window.temperature for window in windows),
    )
