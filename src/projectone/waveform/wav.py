"""PCM WAV bytes to samples and back. The whole header is judged before a sample is read.

A refusal is a `DataError` with one reason:

    wav-not-riff            no RIFF/WAVE at the front (HTML, ELF, a playlist, an empty file)
    wav-container           RF64, RIFX or W64
    wav-truncated           the data chunk goes on where the file ends
    wav-chunks              bytes after a chunk are no chunk, or a chunk goes past the end
    wav-padding             the byte after an odd chunk is not zero
    wav-trailing-bytes      bytes after the end that the RIFF header states
    wav-riff-size           the RIFF header states a size that the chunks do not have
    wav-no-format, wav-two-formats, wav-format-after-data, wav-no-data, wav-two-data
    wav-codec               not PCM and not IEEE float (ADPCM, u-law, ...)
    wav-channels, wav-rate, wav-bits
    wav-block               bytes per frame or per second contradict the rest of the format
    wav-partial-frame       the data ends inside a frame
    wav-duration            the `fact` chunk states another length
    wav-empty               no frame at all
    wav-too-long            more frames than the limit, computed from the header
    wav-not-finite          NaN or infinity
    wav-out-of-range        float samples far outside -1 to 1
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from projectone.errors import DataError

MIN_SAMPLE_RATE_HZ = 8_000
MAX_SAMPLE_RATE_HZ = 48_000
MAX_CHANNELS = 2
MAX_DURATION_S = 60.0
PCM16_HEADER_BYTES = 44
"""What lies before the samples in the files that are written here."""

_PCM, _IEEE_FLOAT, _EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
# The last 14 bytes of every WAVE_FORMAT_EXTENSIBLE subformat that stands for a plain format tag.
_SUBFORMAT_TAIL = bytes.fromhex("000000001000800000aa00389b71")
# Mixing desks leave some headroom in float files; beyond 24 dB over full scale it is no recording.
_MAX_FLOAT_PEAK = 16.0

Float32 = npt.NDArray[np.float32]
Int16 = npt.NDArray[np.int16]
Sound = Float32 | Int16
"""One channel of samples, shape (n,): floats of which 1 is full scale, or the integers of PCM16 as they lie there."""


@dataclass(frozen=True)
class WavHeader:
    """What a header promises, already judged: `data` is where the samples lie in the file."""

    sample_rate_hz: int
    n_channels: int
    bits_per_sample: int
    is_float: bool
    n_frames: int
    data: slice


@dataclass(frozen=True)
class WavAudio:
    """Decoded audio.

    Attributes:
        samples: float32 of shape (n_frames, n_channels), full scale is 1.
        sample_rate_hz: Frames per second.
        bits_per_sample: Of the file.
    """

    samples: Float32
    sample_rate_hz: int
    bits_per_sample: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate_hz


@dataclass(frozen=True)
class _Chunk:
    name: bytes
    start: int
    size_bytes: int


def parse_wav(content: bytes, *, max_duration_s: float = MAX_DURATION_S) -> WavAudio:
    """The audio in a WAV file: PCM of 16, 24 or 32 bits or 32-bit float, 8 to 48 kHz, mono or stereo.

    Args:
        content: The whole file.
        max_duration_s: Longer files are refused on their header alone.

    Raises:
        DataError: with one of the reasons in this module's docstring.

    Source: Multimedia Programming Interface and Data Specifications 1.0 (RIFF WAVE), Microsoft's WAVEFORMATEXTENSIBLE.
    """
    header = read_header(content, max_duration_s=max_duration_s)
    return WavAudio(read_samples(content, header), header.sample_rate_hz, header.bits_per_sample)


def read_samples(content: bytes | memoryview, header: WavHeader) -> Float32:
    """The samples of a file whose header was judged, shape (n_frames, n_channels).

    Raises:
        DataError: ``wav-not-finite``, ``wav-out-of-range``.
    """
    return _decode(memoryview(content)[header.data], header).reshape(-1, header.n_channels)


def pcm16_of(content: bytes | memoryview, header: WavHeader) -> Int16 | None:
    """The samples of a mono PCM16 file whose header was judged, where they lie, shape (n,); None for any other file."""
    if (header.n_channels, header.bits_per_sample) != (1, 16):
        return None
    return np.frombuffer(memoryview(content)[header.data], "<i2")


def scale_of(samples: npt.NDArray[np.float32 | np.int16]) -> np.float32:
    """What makes floats of samples, as a factor; of integers a power of two, so that nothing is rounded."""
    return np.float32(2**-15 if samples.dtype == np.int16 else 1.0)


def to_floats(samples: npt.NDArray[np.float32 | np.int16]) -> Float32:
    """Samples on the scale of which 1 is full; floats are given back as they are."""
    if samples.dtype == np.float32:
        return samples.view(np.float32)
    scaled: Float32 = samples.astype(np.float32)
    scaled *= scale_of(samples)  # in place: quicker than a product that converts piece by piece
    return scaled


def read_header(content: bytes | memoryview, *, max_duration_s: float = MAX_DURATION_S) -> WavHeader:
    """The judged header of a WAV file; no sample is read.

    Raises:
        DataError: with one of the reasons in this module's docstring.
    """
    chunks, ending = _walk(content)
    formats = [chunk for chunk in chunks if chunk.name == b"fmt "]
    datas = [chunk for chunk in chunks if chunk.name == b"data"]
    if ending is not None and not (formats and datas):
        raise ending  # the walk stopped before it could find them
    if not formats:
        raise DataError("wav-no-format", "WAV: expected a fmt chunk, found none")
    if len(formats) > 1:
        raise DataError("wav-two-formats", f"WAV: expected one fmt chunk, found {len(formats)}")
    if not datas:
        raise DataError("wav-no-data", "WAV: expected a data chunk, found none")
    if len(datas) > 1:
        raise DataError("wav-two-data", f"WAV: expected one data chunk, found {len(datas)}")
    if datas[0].start < formats[0].start:
        raise DataError("wav-format-after-data", "WAV: the fmt chunk follows the data it describes")
    header = _judge_format(content, formats[0], datas[0], max_duration_s)
    if ending is not None:
        raise ending
    _judge_fact(content, chunks, header)
    return header


def encode_wav(samples: npt.NDArray[np.floating], rate: int = 16_000) -> bytes:
    """A PCM16 WAV file, the same bytes for the same samples.

    Args:
        samples: Shape (n,) or (n, n_channels); full scale is 1, what lies outside is clipped.
        rate: Frames per second.

    Raises:
        ValueError: for numbers that are not finite, or more than two axes.
    """
    if samples.ndim not in (1, 2) or not np.isfinite(samples).all():
        raise ValueError(f"samples: expected finite numbers on one or two axes, got shape {samples.shape}")
    n_channels = 1 if samples.ndim == 1 else samples.shape[1]
    # 32768 both ways, so that what was decoded encodes to the bytes it came from.
    integers = np.clip(np.rint(samples.astype(np.float64) * 32768.0), -32768, 32767).astype("<i2")
    return wav_of_pcm16(integers.tobytes(), rate, n_channels)


def copy_wav(content: bytes, rate: int = 16_000) -> bytes | None:
    """What `encode_wav` makes of the samples of a file, if it is mono PCM16 of this rate; None for any other.

    The samples are taken as they lie there, never as floats: the same bytes at a tenth of the cost. Nothing else of the
    file is taken along.

    Raises:
        DataError: as `parse_wav`.
    """
    header = read_header(content)
    if (header.sample_rate_hz, header.n_channels, header.bits_per_sample) != (rate, 1, 16):
        return None
    return wav_of_pcm16(memoryview(content)[header.data], rate)


def wav_of_pcm16(data: bytes | memoryview, rate: int = 16_000, n_channels: int = 1) -> bytes:
    """A WAV file of samples that are PCM16, little-endian, already."""
    block = 2 * n_channels
    format_chunk = struct.pack("<4sIHHIIHH", b"fmt ", 16, _PCM, n_channels, rate, rate * block, block, 16)
    riff = struct.pack("<4sI4s", b"RIFF", 4 + len(format_chunk) + 8 + len(data), b"WAVE")
    return b"".join((riff, format_chunk, struct.pack("<4sI", b"data", len(data)), data))


def _walk(content: bytes | memoryview) -> tuple[list[_Chunk], DataError | None]:
    """Every chunk, and what is wrong with how they end: told after the format, which says more, was judged."""
    front = bytes(content[:12])
    if front[:4] in (b"RF64", b"RIFX", b"BW64", b"riff"):
        raise DataError("wav-container", f"WAV: expected RIFF, got {front[:4]!r}")
    if len(front) < 12 or front[:4] != b"RIFF" or front[8:] != b"WAVE":
        raise DataError("wav-not-riff", f"WAV: expected RIFF....WAVE, got {front!r}")
    stated_end = 8 + int.from_bytes(content[4:8], "little")
    chunks: list[_Chunk] = []
    position, end = 12, len(content)
    while position < end:
        if position == stated_end and chunks:
            return chunks, DataError("wav-trailing-bytes", f"WAV: {end - position} bytes after the end of the file")
        name = bytes(content[position : position + 4])
        if end - position < 8 or not all(32 <= byte < 127 for byte in name):
            return chunks, DataError("wav-chunks", f"WAV: expected a chunk at byte {position}, got {name!r}")
        chunk = _Chunk(name, position + 8, int.from_bytes(content[position + 4 : position + 8], "little"))
        chunks.append(chunk)
        position = chunk.start + chunk.size_bytes
        if position > end:
            reason = "wav-truncated" if name == b"data" else "wav-chunks"
            message = f"WAV: chunk {name!r} states {chunk.size_bytes} bytes, {end - chunk.start} are there"
            return chunks, DataError(reason, message)
        # Writers forget the padding of the last chunk; inside the file a missing one shifts everything after it.
        if chunk.size_bytes % 2 and position < end:
            if content[position] != 0:
                return chunks, DataError("wav-padding", f"WAV: the odd chunk {name!r} is not padded with zero")
            position += 1
    if stated_end not in (end, end + 1) or (stated_end == end + 1 and chunks and chunks[-1].size_bytes % 2 == 0):
        return chunks, DataError("wav-riff-size", f"WAV: the header states {stated_end} bytes, the file has {end}")
    return chunks, None


def _judge_format(content: bytes | memoryview, chunk: _Chunk, data: _Chunk, max_duration_s: float) -> WavHeader:
    if chunk.size_bytes < 16 or chunk.start + chunk.size_bytes > len(content):
        raise DataError("wav-chunks", f"WAV: expected at least 16 bytes of format, got {chunk.size_bytes}")
    tag, channels, rate, bytes_per_s, block, bits = struct.unpack_from("<HHIIHH", content, chunk.start)
    if tag == _EXTENSIBLE:
        tag = _plain_tag(content[chunk.start : chunk.start + chunk.size_bytes], bits)
    if tag not in (_PCM, _IEEE_FLOAT):
        raise DataError("wav-codec", f"WAV: expected PCM or IEEE float, got format tag 0x{tag:04x}")
    if not 1 <= channels <= MAX_CHANNELS:
        raise DataError("wav-channels", f"WAV: expected 1 or {MAX_CHANNELS} channels, got {channels}")
    if not MIN_SAMPLE_RATE_HZ <= rate <= MAX_SAMPLE_RATE_HZ:
        limits = f"{MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ} Hz"
        raise DataError("wav-rate", f"WAV: expected {limits}, got {rate}")
    if bits not in ((16, 24, 32) if tag == _PCM else (32,)):
        raise DataError("wav-bits", f"WAV: expected PCM of 16, 24 or 32 bits or float of 32, got {bits}")
    if block != channels * bits // 8 or bytes_per_s != block * rate:
        raise DataError("wav-block", f"WAV: {block} bytes per frame and {bytes_per_s} per second do not fit the format")
    n_frames = _count_frames(data.size_bytes, block, rate, max_duration_s)
    where = slice(data.start, data.start + data.size_bytes)
    return WavHeader(rate, channels, bits, tag == _IEEE_FLOAT, n_frames, where)


def _count_frames(size_bytes: int, block: int, rate: int, max_duration_s: float) -> int:
    n_frames = size_bytes // block
    if n_frames > max_duration_s * rate:
        raise DataError("wav-too-long", f"WAV: expected at most {max_duration_s:g} s, got {n_frames / rate:.1f} s")
    if size_bytes % block:
        raise DataError("wav-partial-frame", f"WAV: {size_bytes} bytes of data are no whole frames of {block}")
    if n_frames == 0:
        raise DataError("wav-empty", "WAV: expected sound, found none")
    return n_frames


def _plain_tag(extended: bytes | memoryview, bits: int) -> int:
    """The plain format tag that an extensible format stands for."""
    if len(extended) < 40 or extended[26:40] != _SUBFORMAT_TAIL:
        raise DataError("wav-codec", "WAV: expected PCM or IEEE float in the extensible format, got another subformat")
    if (valid_bits := int.from_bytes(extended[18:20], "little")) != bits:
        raise DataError("wav-bits", f"WAV: expected all {bits} bits to be valid, got {valid_bits}")
    return int.from_bytes(extended[24:26], "little")


def _judge_fact(content: bytes | memoryview, chunks: list[_Chunk], header: WavHeader) -> None:
    for chunk in chunks:
        if chunk.name == b"fact" and chunk.size_bytes >= 4:
            stated = int.from_bytes(content[chunk.start : chunk.start + 4], "little")
            # Some writers count samples over all channels.
            if stated not in (header.n_frames, header.n_frames * header.n_channels):
                message = f"WAV: the fact chunk states {stated} frames, the data holds {header.n_frames}"
                raise DataError("wav-duration", message)


def _decode(data: memoryview, header: WavHeader) -> Float32:
    if header.is_float:
        floats = np.frombuffer(data, "<f4")
        if not np.isfinite(floats).all():
            raise DataError("wav-not-finite", "WAV: a sample is NaN or infinite")
        if (peak := float(np.abs(floats).max())) > _MAX_FLOAT_PEAK:
            raise DataError("wav-out-of-range", f"WAV: expected samples from -1 to 1, got {peak:g}")
        return floats.astype(np.float32)
    if header.bits_per_sample == 16:
        return to_floats(np.frombuffer(data, "<i2"))
    if header.bits_per_sample == 32:
        return (np.frombuffer(data, "<i4") / 2.0**31).astype(np.float32)
    # 24 bits: into the upper three bytes of 32, which keeps the sign.
    wide = np.zeros((len(data) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
