"""The microphone of this machine, in pieces of a tenth of a second, through PortAudio."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Iterable, Mapping
from types import ModuleType, TracebackType
from typing import Protocol, Self

from projectone.errors import SettingsError

RATE_HZ = 16_000
_PIECE_FRAMES = RATE_HZ // 10
# A disk that stalls holds nothing up for so long; after that the system's own buffer runs over, and says so.
_HELD_PIECES = 300
_PATIENCE_S = 0.05
_INSTALL = "{what} needs pip install 'projectone[microphone]'"


class Status(Protocol):
    """What PortAudio says of a piece."""

    input_overflow: bool


Buffer = bytearray | memoryview


class Microphone:
    """An open microphone: 16 kHz, mono, PCM16.

    Args:
        device: Part of its name, or its number; the system's own choice if None.

    Raises:
        SettingsError: if there is none, or something is not installed; the message says what to do.
    """

    def __init__(self, device: str | None = None) -> None:
        self._sound = sound_library("recording")
        self._pieces: queue.Queue[bytes] = queue.Queue(_HELD_PIECES)
        self._is_stopping = False
        self.n_gaps = 0
        try:
            self._stream = self._sound.RawInputStream(
                samplerate=RATE_HZ,
                channels=1,
                dtype="int16",
                blocksize=_PIECE_FRAMES,
                device=int(device) if device is not None and device.isdecimal() else device,
                callback=self._take,
            )
        except (self._sound.PortAudioError, ValueError) as error:
            raise SettingsError(f"no microphone can be opened ({_first_line(error)}); {self._choice()}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_stopping = True
        self._stream.close()

    def start(self) -> None:
        """Listen from now on.

        Raises:
            SettingsError: if it was taken away.
        """
        self._is_stopping = False
        try:
            self._stream.start()
        except self._sound.PortAudioError as error:
            raise SettingsError(f"the microphone cannot be used ({_first_line(error)})") from error

    def stop(self) -> None:
        """Listen no more; what was heard until now can still be read."""
        self._is_stopping = True
        self._stream.stop()

    def read(self, timeout_s: float) -> bytes:
        """The next piece; nothing if none comes in this time."""
        try:
            return self._pieces.get(timeout=timeout_s)
        except queue.Empty:
            return b""

    def _take(self, piece: Buffer, n_frames: int, when: object, status: Status) -> None:
        self.n_gaps += status.input_overflow
        is_taken = False
        while not is_taken:
            with contextlib.suppress(queue.Full):
                self._pieces.put(bytes(piece), timeout=_PATIENCE_S)
                is_taken = True
            if not is_taken and self._is_stopping:  # who stops us does not read
                return

    def _choice(self) -> str:
        names = _names(self._sound)
        if not names:
            return "this machine shows none: plug one in, or let this program use it in the system's settings"
        return f"--device chooses one of {'; '.join(names)}"


def sound_library(what: str) -> ModuleType:
    """PortAudio.

    Args:
        what: What it is for, such as ``"recording"``.

    Raises:
        SettingsError: if it is not installed; the message says what to do.
    """
    # Imported here: only this word needs it, and it is not part of every installation.
    try:
        import sounddevice  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise SettingsError(f"{_INSTALL.format(what=what)} ({error})") from error
    except OSError as error:
        raise SettingsError(
            f"{_INSTALL.format(what=what)}, and on Linux `apt-get install libportaudio2` ({error})"
        ) from error
    module: ModuleType = sounddevice
    return module


def _names(sound: ModuleType) -> list[str]:
    try:
        devices: Iterable[Mapping[str, object]] = sound.query_devices()
        return [f"{info['index']}: {info['name']}" for info in devices if info["max_input_channels"]]
    except sound.PortAudioError:
        return []


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
