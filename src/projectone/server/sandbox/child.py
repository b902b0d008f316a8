"""The sealed child: frames of bytes in, samples out, by pipe. One named format, no path, no guessing.

Run by `decode.AudioDecoder` as `python -I -m projectone.server.sandbox.child`. It says what could not be sealed, then
answers until its input ends. A frame in is the format's name (4 bytes), the length and the bytes; a frame out is a
status byte, then either rate, channels, frames and float32 samples, or a reason and a sentence.
"""

from __future__ import annotations

import io
import json
import struct
import sys
from typing import IO, Any

from projectone.server.sandbox.seal import apply_limits, apply_seal, grant_cpu

REQUEST = struct.Struct("<4sId")
ANSWER = struct.Struct("<BIII")
OK, REFUSED = 0, 1
_MAGIC = {b"FLAC": b"fLaC", b"OGG ": b"OggS"}
_MAX_REQUEST_BYTES = 512 << 20
_MEMORY_BYTES = 2 << 30
_CPU_S = 60

_Pipe = IO[bytes]
_Module = Any  # soundfile has no types


def main() -> None:
    """Seal, say so, decode until the input ends."""
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    try:
        import soundfile  # before the seal: afterwards no file can be opened
    except (ImportError, OSError) as error:
        _send(stdout, json.dumps({"error": f"{error}"}).encode())
        return
    _warm_up(soundfile)
    missing = apply_limits(memory_bytes=_MEMORY_BYTES) + apply_seal()
    _send(stdout, json.dumps({"not_enforced": missing}).encode())
    while head := stdin.read(REQUEST.size):
        name, length, max_duration_s = REQUEST.unpack(head)
        if length > _MAX_REQUEST_BYTES:
            return
        content = stdin.read(length)
        grant_cpu(_CPU_S)
        _answer(stdout, soundfile, name, content, max_duration_s)


def _answer(stdout: _Pipe, soundfile: _Module, name: bytes, content: bytes, max_duration_s: float) -> None:
    try:
        if content[:4] != _MAGIC.get(name):
            raise _Refusal("audio-format", f"expected {name.decode().strip()}, got {content[:4]!r}")
        with soundfile.SoundFile(io.BytesIO(content)) as sound:
            if sound.format != name.decode().strip():
                raise _Refusal("audio-format", f"expected {name.decode().strip()}, got {sound.format}")
            if not (8_000 <= sound.samplerate <= 48_000 and 1 <= sound.channels <= 2):
                raise _Refusal("audio-header", f"{sound.samplerate} Hz, {sound.channels} channels")
            limit = int(max_duration_s * sound.samplerate)
            # A stream may not know its length: read one frame more than the limit at most.
            data = bytes(sound.buffer_read(min(sound.frames, limit + 1), dtype="float32"))
            n_frames = len(data) // (4 * sound.channels)
            if n_frames > limit:
                raise _Refusal("audio-too-long", f"expected at most {max_duration_s:g} s")
            if n_frames == 0:
                raise _Refusal("audio-empty", "no sound")
            stdout.write(ANSWER.pack(OK, sound.samplerate, sound.channels, n_frames) + data)
            stdout.flush()
    except _Refusal as refusal:
        _refuse(stdout, *refusal.args)
    except MemoryError:
        _refuse(stdout, "audio-memory", "it needs more memory than it may have")
    except Exception as error:
        # The decoder's own errors; whatever they are, the clip is of no use and the child is fine.
        _refuse(stdout, "audio-damaged", str(error))


class _Refusal(Exception):
    """A clip that is not what was announced."""


def _refuse(stdout: _Pipe, reason: str, message: str) -> None:
    text = f"{reason}\0{message}".encode(errors="replace")[:2000]
    stdout.write(ANSWER.pack(REFUSED, 0, 0, len(text)) + text)
    stdout.flush()


def _send(stdout: _Pipe, content: bytes) -> None:
    stdout.write(struct.pack("<I", len(content)) + content)
    stdout.flush()


def _warm_up(soundfile: _Module) -> None:
    """Decode once before the seal, so that everything the decoder loads lazily is loaded."""
    written = io.BytesIO()
    with soundfile.SoundFile(written, "w", 8_000, 1, "PCM_16", format="FLAC") as sound:
        sound.buffer_write(bytes(2 * 800), dtype="int16")
    with soundfile.SoundFile(io.BytesIO(written.getvalue())) as sound:
        sound.buffer_read(dtype="float32")


if __name__ == "__main__":
    main()
