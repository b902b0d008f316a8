"""Synthetic speech: espeak-ng from its wheel, called in this process; other synthesisers by the same protocol."""

from __future__ import annotations

import ctypes
import re
import shutil
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from projectone.errors import DataError

SAMPLE_RATE_HZ = 16_000
# speak_lib.h
_SYNCHRONOUS, _WITH_PHONEMES, _IN_IPA = 2, 1, 2
_UTF8, _PHONEME_NAMES = 1, 0x100
_END_OF_EVENTS, _WORD, _PHONEME = 0, 1, 7
_RATE, _PITCH, _RANGE = 1, 3, 4
# espeak-ng keeps one voice and one callback for the whole process.
_lock = threading.Lock()
_ACCENTS = {"en": ("en-us", "en", "en-gb-x-rp", "en-us-nyc", "en-gb-x-gbclan")}
_TIMBRES = ("f1", "m1", "f2", "m3", "Annie", "Hugo", "f4", "m7", "Alicia", "Michael", "linda", "david")


class Synthesizer(Protocol):
    """Reads texts aloud."""

    @property
    def voices(self) -> Sequence[str]:
        """Names of the voices it has; at least one."""
        ...

    def say(self, text: str, voice: str) -> npt.NDArray[np.float32]:
        """`text` in that voice: one channel at 16 kHz, within -1 and 1.

        A new synthesiser that is asked for the same texts in the same order gives the same samples: interrupted
        training goes on only with the clips that it began with.

        Raises:
            DataError: if nothing came out.
        """
        ...


@dataclass(frozen=True)
class Voice:
    """One synthetic person.

    Attributes:
        name: What the person is called.
        language: An espeak-ng voice, which is the accent: ``"en-gb-scotland"``.
        variant: A timbre of espeak-ng's ``!v`` folder, such as ``"f3"``.
        pitch: Base pitch, 0 to 99; 50 is the variant's own.
        rate: Words a minute, 80 to 450; 175 is normal.
        pitch_range: Liveliness, 0 (monotone) to 99; 50 is the variant's own.
    """

    name: str
    language: str
    variant: str
    pitch: int = 50
    rate: int = 165
    pitch_range: int = 50

    @property
    def accent(self) -> str:
        """The accent for a manifest."""
        return self.language


@dataclass(frozen=True)
class TimedSound:
    """Synthetic speech and when each of its phonemes begins.

    Attributes:
        samples: One channel at 16 kHz, within -1 and 1.
        phonemes: Start in seconds and phoneme in the international phonetic alphabet, in order; empty for a pause.
        words: Start in seconds of each word, as espeak-ng counts words.
    """

    samples: npt.NDArray[np.float32]
    phonemes: tuple[tuple[float, str], ...]
    words: tuple[float, ...]


def synthesize(text: str, voice: Voice) -> npt.NDArray[np.float32]:
    """`text` read aloud by `voice`: one channel at 16 kHz, within -1 and 1.

    Single letters are read by their names, "a" too.

    Raises:
        DataError: ``"no-speech"`` if nothing came out, ``"voice"`` if espeak-ng does not know the voice.
    """
    return synthesize_timed(text, voice).samples


def synthesize_timed(text: str, voice: Voice) -> TimedSound:
    """As `synthesize`, with the time of each phoneme: labels that no real recording has."""
    return _speak(_engine(), text, voice)


def _speak(engine: _Engine, text: str, voice: Voice) -> TimedSound:
    spoken = re.sub(r"\ba\b", "[[eI]]", text.lower())
    with _lock:
        engine.chunks.clear()
        engine.phonemes.clear()
        engine.words.clear()
        if engine.library.espeak_SetVoiceByName(f"{voice.language}+{voice.variant}".encode()) != 0:
            raise DataError("voice", f"espeak-ng knows no voice {voice.language!r} with variant {voice.variant!r}")
        # Some timbres breathe (f5): their noise is drawn, by default from a seed that is the time of day.
        engine.library.espeak_ng_SetRandSeed(1)
        for parameter, value in ((_RATE, voice.rate), (_PITCH, voice.pitch), (_RANGE, voice.pitch_range)):
            engine.library.espeak_SetParameter(parameter, value, 0)
        encoded = spoken.encode() + b"\0"
        engine.library.espeak_Synth(encoded, len(encoded), 0, 1, 0, _UTF8 | _PHONEME_NAMES, None, None)
        sound = np.frombuffer(b"".join(engine.chunks), dtype=np.int16)
        phonemes, words = tuple(engine.phonemes), tuple(engine.words)
        rate_hz = engine.rate_hz
    if not np.any(sound):
        raise DataError("no-speech", f"espeak-ng said nothing for {text!r}")
    return TimedSound(_to_16_khz(sound.astype(np.float32) / 32768.0, rate_hz), phonemes, words)


class EspeakSynthesizer:
    """espeak-ng as a `Synthesizer`: accents of one language, spoken in many timbres.

    Args:
        language: Code such as ``"en"``.

    Raises:
        DataError: ``"synthesizer-missing"`` if its wheel is not installed, ``"voice"`` if the language is unknown.
    """

    def __init__(self, language: str = "en") -> None:
        accents = _ACCENTS.get(language, (language,))
        try:
            self._engine = _own_engine()
        except ImportError as error:
            raise DataError(
                "synthesizer-missing", "synthetic speech needs espeak-ng: install projectone[voices]"
            ) from error
        _set_voice(self._engine.library, accents[0])
        pairs = [(accent, timbre) for timbre in _TIMBRES for accent in accents]
        self._voices = {
            f"{accent}+{timbre}": Voice(
                f"{accent}+{timbre}", accent, timbre, pitch=35 + 7 * i % 31, rate=140 + 11 * i % 50
            )
            for i, (accent, timbre) in enumerate(pairs)
        }

    @property
    def voices(self) -> Sequence[str]:
        """Accent and timbre, as espeak-ng writes them: ``"en-us+f3"``."""
        return tuple(self._voices)

    def say(self, text: str, voice: str) -> npt.NDArray[np.float32]:
        """See `Synthesizer`."""
        return _speak(self._engine, text, self._voices[voice]).samples


def pronounce(text: str, *, language: str = "en-us") -> str:
    """The phonemes of `text` in the international phonetic alphabet, as espeak-ng reads it; words apart by spaces.

    Raises:
        DataError: ``"voice"`` if espeak-ng does not know the language.
    """
    with _lock:
        library = _engine().library
        _set_voice(library, language)
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        # The letter's name, as `synthesize` reads it; espeak-ng would take it for the article.
        return " eɪ ".join(_clauses(library, part) for part in re.split(r"\ba\b", text.lower())).strip()  # noqa: RUF001


def _set_voice(library: ctypes.CDLL, name: str) -> None:
    if library.espeak_SetVoiceByName(name.encode()) != 0:
        raise DataError("voice", f"espeak-ng knows no voice {name!r}")


def _clauses(library: ctypes.CDLL, text: str) -> str:
    rest = ctypes.c_char_p(text.encode())
    clauses: list[str] = []
    while rest.value:
        clauses.append(library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, 2).decode())
    return " ".join(clauses)


def _to_16_khz(sound: npt.NDArray[np.float32], rate_hz: int) -> npt.NDArray[np.float32]:
    """Band-limited resampling by cutting the spectrum; a clip begins and ends in silence, so nothing wraps around."""
    n_in = -(-sound.size // rate_hz) * rate_hz  # whole seconds: both lengths come out even
    n_out = n_in * SAMPLE_RATE_HZ // rate_hz
    spectrum = np.fft.rfft(sound, n_in)[: n_out // 2 + 1]
    resampled = np.fft.irfft(spectrum, n_out) * (n_out / n_in)
    wanted = round(sound.size * SAMPLE_RATE_HZ / rate_hz)
    clipped: npt.NDArray[np.float32] = np.clip(resampled[:wanted], -1.0, 1.0).astype(np.float32)
    return clipped


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int), ("unique_identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position_ms", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("string", ctypes.c_char * 8),
    )  # fmt: skip


@dataclass(frozen=True)
class _Engine:
    library: ctypes.CDLL
    rate_hz: int
    chunks: list[bytes]
    phonemes: list[tuple[float, str]]
    words: list[float]
    callback: object  # ctypes keeps no reference of its own


@cache
def _engine() -> _Engine:
    import espeakng_loader

    return _started(espeakng_loader.get_library_path())


def _own_engine() -> _Engine:
    """An espeak-ng that nobody else has asked for anything: what it said before shifts the flutter of its voices."""
    import espeakng_loader

    with tempfile.TemporaryDirectory() as folder:
        # The loader takes a library at another path for another library, with variables of its own.
        path = shutil.copy(espeakng_loader.get_library_path(), folder)
        return _started(path)


def _started(path: str) -> _Engine:
    import espeakng_loader

    library = ctypes.CDLL(path)
    folder = str(espeakng_loader.get_data_path()).encode()
    rate_hz = library.espeak_Initialize(_SYNCHRONOUS, 0, folder, _WITH_PHONEMES | _IN_IPA)
    if rate_hz <= 0:
        raise DataError("voice", f"espeak-ng did not start: {rate_hz}")
    chunks: list[bytes] = []
    phonemes: list[tuple[float, str]] = []
    words: list[float] = []

    def collect(samples: int | None, n_samples: int, events: ctypes.Array[_Event]) -> int:
        if samples and n_samples > 0:
            chunks.append(ctypes.string_at(samples, 2 * n_samples))
        index = 0
        while (event := events[index]).type != _END_OF_EVENTS:
            if event.type == _PHONEME:
                # A long name may be cut within a character: eight bytes are all there is.
                phonemes.append((event.audio_position_ms / 1000, event.string.decode("utf-8", "ignore")))
            elif event.type == _WORD:
                words.append(event.audio_position_ms / 1000)
            index += 1
        return 0

    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))
    callback = kind(collect)
    library.espeak_SetSynthCallback(callback)
    library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
        ctypes.c_void_p, ctypes.c_void_p,
    ]  # fmt: skip
    return _Engine(library, rate_hz, chunks, phonemes, words, callback)
