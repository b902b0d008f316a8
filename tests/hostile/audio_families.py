"""Twenty-five families of bad audio from one seeded script, each with the one reason it must be refused for."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

from projectone.waveform.wav import encode_wav

RATE = 16_000
EXTENSIBLE_PCM = bytes.fromhex("0100000000001000800000aa00389b71")


def chunk(name: bytes, body: bytes, *, size: int | None = None, pad: bytes = b"\0") -> bytes:
    stated = len(body) if size is None else size
    return name + struct.pack("<I", stated) + body + (pad if len(body) % 2 else b"")


def fmt(
    tag: int = 1, channels: int = 1, rate: int = RATE, bits: int = 16, *, block: int | None = None, extra: bytes = b""
) -> bytes:
    block = channels * bits // 8 if block is None else block
    values = (tag, channels & 0xFFFF, rate, (rate * block) & 0xFFFFFFFF, block & 0xFFFF, bits)
    return chunk(b"fmt ", struct.pack("<HHIIHH", *values) + extra)


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def speechlike(random: np.random.Generator, duration_s: float = 0.5) -> np.ndarray:
    """A buzz that swells and fades: nothing that a quality check could mind."""
    t = np.arange(int(duration_s * RATE)) / RATE
    pitch = random.uniform(90, 220)
    buzz = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 8))
    envelope = np.sin(np.pi * t / duration_s) ** 2
    return (0.3 * buzz * envelope).astype(np.float32)


def pcm16(samples: np.ndarray) -> bytes:
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def float_wav(samples: np.ndarray) -> bytes:
    return riff(fmt(tag=3, bits=32), chunk(b"data", samples.astype("<f4").tobytes()))


def spoiled(random: np.random.Generator, value: float) -> bytes:
    samples = speechlike(random)
    samples[random.integers(len(samples), size=3)] = value
    return float_wav(samples)


def foreign(random: np.random.Generator) -> bytes:
    contents = (
        b"<html><script>alert(1)</script></html>",
        b"\x7fELF\x02\x01\x01" + bytes(64),
        b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94",
        b"",
        b"RIFF",
        b"OggS" + bytes(60),
    )
    return contents[random.integers(len(contents))]


def with_data(random: np.random.Generator, **format_fields: int) -> bytes:
    return riff(fmt(**format_fields), chunk(b"data", pcm16(speechlike(random))))


def pick(random: np.random.Generator, *values: int) -> int:
    return values[random.integers(len(values))]


def family_13(random: np.random.Generator) -> bytes:
    """The data chunk says less than there is."""
    data = pcm16(random.uniform(-1, 1, 4000).astype(np.float32))
    return riff(fmt(), b"data" + struct.pack("<I", len(data) // 2) + bytes([7, 1, 2, 3, 4, 5, 6, 8]) + data)


def family_22(random: np.random.Generator) -> bytes:
    return with_data(random, tag=pick(random, 2, 6, 7, 0x11, 0x31, 0x55, 0x161, 0xF1AC))


FAMILIES: dict[str, tuple[str, Callable[[np.random.Generator], bytes]]] = {
    "01 zero frames": ("wav-empty", lambda r: riff(fmt(), chunk(b"data", b""))),
    "02 one frame": ("too-short", lambda r: riff(fmt(), chunk(b"data", r.bytes(2)))),
    "03 silence": ("silence", lambda r: encode_wav(r.normal(0, 2e-5, RATE).astype(np.float32))),
    "04 DC": ("dc-offset", lambda r: encode_wav(speechlike(r) * 0.3 + r.choice([-0.5, 0.5]))),
    "05 clipping": ("clipping", lambda r: encode_wav(np.sign(speechlike(r)) * np.float32(1))),
    "06 NaN": ("wav-not-finite", lambda r: spoiled(r, np.nan)),
    "07 Inf": ("wav-not-finite", lambda r: spoiled(r, r.choice([-np.inf, np.inf]))),
    "08 1e30": ("wav-out-of-range", lambda r: spoiled(r, r.choice([-1e30, 1e30]))),
    "09 noise only": ("no-speech", lambda r: encode_wav(r.normal(0, r.uniform(0.01, 0.3), RATE).astype(np.float32))),
    "10 wrong duration": (
        "wav-duration",
        lambda r: riff(fmt(), chunk(b"fact", struct.pack("<I", 3)), chunk(b"data", pcm16(speechlike(r)))),
    ),
    "11 truncated data": ("wav-truncated", lambda r: encode_wav(speechlike(r))[: -int(r.integers(1, 8000))]),
    "12 data size 4 GB": (
        "wav-too-long",
        lambda r: riff(fmt(), chunk(b"data", pcm16(speechlike(r)), size=pick(r, 0xFFFFFFFE, 0xFFFFFFFF, 0x80000000))),
    ),
    "13 data size short": ("wav-chunks", family_13),
    "14 RIFF size lie": (
        "wav-riff-size",
        lambda r: riff(fmt(), chunk(b"data", pcm16(speechlike(r))), size=pick(r, 0, 36, 100_000_000, 0xFFFFFFFF)),
    ),
    "15 missing fmt": ("wav-no-format", lambda r: riff(chunk(b"data", pcm16(speechlike(r))))),
    "16 two fmt": ("wav-two-formats", lambda r: riff(fmt(), fmt(rate=8000), chunk(b"data", pcm16(speechlike(r))))),
    "17 fmt after data": ("wav-format-after-data", lambda r: riff(chunk(b"data", pcm16(speechlike(r))), fmt())),
    "18 odd chunk padding": (
        "wav-padding",
        lambda r: riff(fmt(), chunk(b"LIST", b"abc", pad=b"d"), chunk(b"data", pcm16(speechlike(r)))),
    ),
    "19 channels": ("wav-channels", lambda r: with_data(r, channels=pick(r, 0, 3, 1024, 65535))),
    "20 rate": ("wav-rate", lambda r: with_data(r, rate=pick(r, 0, 1, 7999, 48_001, 768_000, 2**32 - 1))),
    "21 bits": ("wav-bits", lambda r: with_data(r, bits=pick(r, 0, 7, 8, 12, 64, 65535))),
    "22 codec": ("wav-codec", family_22),
    "23 RF64 and others": (
        "wav-container",
        lambda r: [b"RF64", b"RIFX", b"riff", b"BW64"][r.integers(4)] + encode_wav(speechlike(r))[4:],
    ),
    "24 polyglot tail": ("wav-trailing-bytes", lambda r: encode_wav(speechlike(r)) + b"PK\x03\x04" + r.bytes(60)),
    "25 foreign content": ("wav-not-riff", foreign),
}
N_SEEDS = 12


def files() -> list[tuple[str, int, str, bytes]]:
    """Family, seed, expected reason, content: 300 files."""
    made = []
    for number, (name, (reason, make)) in enumerate(FAMILIES.items()):
        for seed in range(N_SEEDS):
            made.append((name, seed, reason, make(np.random.default_rng([number, seed]))))
    return made
