"""A device whose model is a text file: everything but the arithmetic of speech is the real thing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tests.fakes.release_server import FakeServer

from projectone.contracts.releases import ReleaseManifest
from projectone.contracts.rollouts import RolloutState, Turn, turn_of
from projectone.device.heard import NO_HINTS, EngineHeard, Hints, Word
from projectone.device.in_use import MayGoOn
from projectone.device.installed import Installed, Outcome
from projectone.device.releases import SignedReleases
from projectone.device.transcriber import Transcriber
from projectone.device.transport import Transport
from projectone.device.trust import Trust
from projectone.device.updater import Updater, UpdateReport
from projectone.waveform.wav import encode_wav

VOICE = "voice.txt"


class TextEngine:
    """Hears the words of its model's file. Says when it is used after it was closed, or by two threads at once."""

    open_engines = 0
    misuse: list[str] = []

    def __init__(self, folder: Path, *, decode_s: float = 0.0) -> None:
        self._text = (folder / VOICE).read_text()
        if self._text == "broken":
            raise ValueError("this model cannot be loaded")
        self._decode_s = decode_s
        self._is_closed = False
        self._busy = threading.Lock()
        TextEngine.open_engines += 1

    def transcribe(self, samples: npt.NDArray[np.float32], hints: Hints = NO_HINTS) -> EngineHeard:
        if not self._busy.acquire(blocking=False):
            TextEngine.misuse.append("two threads in one engine")
            return EngineHeard("")
        try:
            if self._is_closed:
                TextEngine.misuse.append("used after close")
            time.sleep(self._decode_s)
            if self._text == "deaf":
                return EngineHeard("")
            return EngineHeard(self._text, spread(self._text, len(samples)) if hints.want_words else ())
        finally:
            self._busy.release()

    def close(self) -> None:
        if self._is_closed:
            TextEngine.misuse.append("closed twice")
        self._is_closed = True
        TextEngine.open_engines -= 1


def spread(text: str, n_samples: int) -> tuple[Word, ...]:
    """The words of a text, one after the other over a sound, each a little surer than the one before."""
    words = text.split()
    step_s = n_samples / 16_000 / max(1, len(words))
    return tuple(
        Word(word, index * step_s, (index + 1) * step_s, (index + 1) / len(words)) for index, word in enumerate(words)
    )


def text_model(text: str, *, padding: int = 0) -> dict[str, bytes]:
    """The files of a model that hears `text`."""
    return {VOICE: text.encode(), "weights.bin": bytes(range(256)) * padding + b"w"}


def update(
    home: Path,
    server: FakeServer,
    *,
    is_again: bool = False,
    transcriber: Transcriber | None = None,
    try_new_model: Callable[[MayGoOn], Outcome[object] | None] | None = None,
    may_try: MayGoOn = lambda: True,
    budget_bytes: int | None = None,
) -> UpdateReport:
    """One update in `home`, with the real rooms and no pauses."""
    installed = Installed(home / "models")
    transcriber = transcriber or Transcriber(installed, TextEngine)
    transport = Transport(server.url, lambda **_: {}, sleep=lambda _: None)
    trust = Trust([server.public_key], channel="stable", runtime="0.1.0")
    try:
        return Updater(
            installed,
            SignedReleases(home / "releases", server.root, trust, transport, clock=lambda: datetime.now(UTC)),
            transport,
            home / "staging",
            channel="stable",
            try_new_model=try_new_model or transcriber.try_new_model,
            take_turn=_turn,
            budget_bytes=budget_bytes,
            sleep=lambda _: None,
        ).update(is_again=is_again, may_try=may_try)
    finally:
        transport.close()


def _turn(manifest: ReleaseManifest, share: bytes | None, is_early: bool) -> Turn:
    known = None if share is None else RolloutState.from_bytes(share)
    return turn_of("this", manifest.seq, manifest.rollout, known, datetime.now(UTC), is_asking_early=is_early)


def heard_by(home: Path) -> str | None:
    """What the installed model hears in a fresh process' place: recovered, loaded, asked."""
    installed = Installed(home / "models")
    installed.recover()
    transcriber = Transcriber(installed, TextEngine)
    try:
        return transcriber.transcribe(np.zeros(160, dtype=np.float32)).text
    finally:
        transcriber.close()


def tone(seconds: float = 0.5, *, pitch_hz: float = 440.0) -> bytes:
    """A WAV file with a tone."""
    times = np.arange(round(seconds * 16_000)) / 16_000
    return encode_wav((0.3 * np.sin(2 * np.pi * pitch_hz * times)).astype(np.float32))
