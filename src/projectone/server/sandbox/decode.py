"""Bytes to samples. PCM WAV is read by our own parser; every other format only in a sealed child process."""

from __future__ import annotations

import contextlib
import json
import struct
import subprocess
import sys
import threading
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from projectone.errors import DataError
from projectone.server.sandbox.child import ANSWER, OK, REQUEST
from projectone.waveform.wav import parse_wav

Float32 = npt.NDArray[np.float32]

_FORMATS = {
    ".wav": b"WAV ",
    ".flac": b"FLAC",
    ".ogg": b"OGG ",
    ".oga": b"OGG ",
    ".opus": b"OGG ",
    "audio/wav": b"WAV ",
    "audio/x-wav": b"WAV ",
    "audio/flac": b"FLAC",
    "audio/ogg": b"OGG ",
}
_TIMEOUT_S = 60.0
_START_TIMEOUT_S = 120.0


def decode_wav(content: bytes) -> tuple[Float32, int]:
    """Samples of shape (n, n_channels) of a PCM WAV file of at most 60 s, and frames per second; no child needed.

    Raises:
        DataError: with a reason of `projectone.waveform.wav`.
    """
    audio = parse_wav(content)
    return audio.samples, audio.sample_rate_hz


def decode_audio(
    content: bytes, *, suffix: str | None = None, media_type: str | None = None, max_duration_s: float = 600.0
) -> tuple[Float32, int]:
    """One channel of samples, and frames per second; see `AudioDecoder.decode`."""
    with AudioDecoder(max_duration_s=max_duration_s) as decoder:
        return decoder.decode(content, suffix=suffix, media_type=media_type)


class AudioDecoder:
    """Decodes many clips; the child is started when the first one needs it, and again after it had to be killed.

    Args:
        max_duration_s: Longer clips are refused.
        timeout_s: A child that takes longer for one clip is killed.

    Attributes:
        not_enforced: Layers of the seal that the child could not put on; empty before it runs.
    """

    def __init__(self, *, max_duration_s: float = 600.0, timeout_s: float = _TIMEOUT_S) -> None:
        self.max_duration_s = max_duration_s
        self.not_enforced: list[str] = []
        self._timeout_s = timeout_s
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child, if there is one."""
        with self._lock:
            self._end_child()

    def decode(
        self, content: bytes, *, suffix: str | None = None, media_type: str | None = None
    ) -> tuple[Float32, int]:
        """One channel of float32 samples of shape (n,), and frames per second.

        The format is the one that is named, never one that is guessed.

        Args:
            content: The whole file.
            suffix: Ending of its name, such as ``".flac"``; or
            media_type: its type, such as ``"audio/flac"``.

        Raises:
            DataError: ``audio-format`` for a format that is not read here, ``wav-*`` for WAV, ``audio-*`` otherwise.
        """
        name = (suffix or media_type or "").lower()
        if name not in _FORMATS:
            known = ", ".join(key for key in _FORMATS if key.startswith("."))
            raise DataError("audio-format", f"audio: expected one of {known}, got {name!r}")
        if _FORMATS[name] == b"WAV ":
            audio = parse_wav(content, max_duration_s=self.max_duration_s)
            return audio.samples.mean(axis=1, dtype=np.float32), audio.sample_rate_hz
        with self._lock:
            samples, rate = self._ask(_FORMATS[name], content)
        if not np.isfinite(samples).all():
            raise DataError("audio-not-finite", "audio: a sample is NaN or infinite")
        return samples.mean(axis=1, dtype=np.float32), rate

    def _ask(self, name: bytes, content: bytes) -> tuple[Float32, int]:
        child = self._child or self._start()
        timer = threading.Timer(self._timeout_s, child.kill)
        timer.start()
        try:
            _write(child, REQUEST.pack(name, len(content), self.max_duration_s) + content)
            status, rate, n_channels, length = ANSWER.unpack(_read(child, ANSWER.size))
            if status != OK:
                reason, _, message = _read(child, min(length, 4096)).decode(errors="replace").partition("\0")
                raise DataError(reason, f"audio: {message}")
            # What the child says is a stranger's word, too.
            is_sane = 8_000 <= rate <= 48_000 and n_channels in (1, 2) and 0 < length <= self.max_duration_s * rate
            if not is_sane:
                raise _ChildDiedError
            data = _read(child, 4 * n_channels * length)
        except (_ChildDiedError, OSError) as error:
            self._end_child()
            message = "audio: the decoder crashed or ran out of time; the clip is refused"
            raise DataError("audio-decoder-died", message) from error
        finally:
            timer.cancel()
        return np.frombuffer(data, "<f4").reshape(-1, n_channels), rate

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-m", "projectone.server.sandbox.child"]
        # An empty environment: no token or proxy of ours is in it.
        # A session of its own: Ctrl-C in a terminal is for us, who end it; it would die first and spoil a clip.
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}, close_fds=True, start_new_session=True
        )
        self._child = child
        timer = threading.Timer(_START_TIMEOUT_S, child.kill)
        timer.start()
        try:
            (length,) = struct.unpack("<I", _read(child, 4))
            said = json.loads(_read(child, min(length, 65536)))
        except (_ChildDiedError, ValueError) as error:
            self._end_child()
            raise DataError("audio-decoder-died", "audio: the decoder's process did not start") from error
        finally:
            timer.cancel()
        if "error" in said:
            self._end_child()
            message = f"audio: only WAV is read here ({said['error']}); install projectone[decoders] for other formats"
            raise DataError("audio-decoder-missing", message)
        self.not_enforced = list(said["not_enforced"])
        return child

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                # What was still to be flushed has nobody to go to.
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()


class _ChildDiedError(Exception):
    """The pipe ended before the answer did."""


def _write(child: subprocess.Popen[bytes], content: bytes) -> None:
    assert child.stdin is not None
    child.stdin.write(content)
    child.stdin.flush()


def _read(child: subprocess.Popen[bytes], n_bytes: int) -> bytes:
    assert child.stdout is not None
    content = child.stdout.read(n_bytes)
    if len(content) < n_bytes:
        raise _ChildDiedError
    return content
