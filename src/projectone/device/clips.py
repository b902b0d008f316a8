"""Sound that a person gave, as the device keeps it: 16 kHz, mono, 16 bits."""

from __future__ import annotations

from pathlib import Path

from projectone.device.recordings import Clip
from projectone.errors import DataError
from projectone.storage.given_files import read_given
from projectone.waveform.resample import to_16k_mono
from projectone.waveform.wav import encode_wav, parse_wav

MAX_RECORDING_S = 3600.0
# An hour of 48 kHz stereo at 32 bits, and a header.
MAX_RECORDING_BYTES = 3600 * 48_000 * 2 * 4 + 4096


def read_clip(wav: bytes) -> Clip:
    """The sound in a WAV file, as the device keeps it: 16 kHz, mono, PCM16, nothing else.

    Raises:
        DataError: if it is no WAV that can be used.
    """
    audio = parse_wav(wav, max_duration_s=MAX_RECORDING_S)
    canonical = encode_wav(to_16k_mono(audio.samples, audio.sample_rate_hz))
    # Decoded again, so that the model hears exactly what is kept and sent.
    kept = parse_wav(canonical, max_duration_s=MAX_RECORDING_S + 1)
    return Clip(canonical, kept.samples[:, 0], kept.duration_s)


def read_given_clip(wav: bytes | Path) -> Clip:
    """The same, from a file that a person named or from its bytes.

    Raises:
        DataError: if it is no WAV that can be used, or cannot be read.
    """
    if isinstance(wav, bytes):
        return read_clip(wav)
    content = read_given(wav, max_bytes=MAX_RECORDING_BYTES, expected="a PCM WAV file", begins=b"RIFF")
    try:
        return read_clip(content)
    except DataError as error:
        raise DataError(error.reason, f"{str(wav)!r}: {error}") from error
