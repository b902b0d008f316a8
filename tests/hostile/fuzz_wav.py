"""The WAV parser under a fuzzer that follows which branches a file takes: sound that keeps every promise, or a reason.

Not one of the tests: it takes minutes, and atheris (3.0, from the package registry: it brings libFuzzer along) besides
what the locks install. A crash, a hang or a broken promise ends it with an error, and the file is left where it was
started. Any option of libFuzzer may be given:

    python tests/hostile/fuzz_wav.py -runs=1000000 -max_len=4096 -timeout=5 -rss_limit_mb=2048 [FOLDER]

It begins with short sound files, the hostile ones of `audio_families.py`, and what it found in FOLDER before.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
with atheris.instrument_imports(include=["projectone.waveform.wav"]):
    from tests.hostile.wav_promises import parse_safely

import numpy as np
from tests.hostile.audio_families import files, float_wav

from projectone.waveform.wav import encode_wav

_MAX_SEED_BYTES = 4096


def attempt(content: bytes) -> None:
    """The bytes as they come, and with true sizes: changed bytes alone hardly ever pass those."""
    parse_safely(content)
    parse_safely(with_true_sizes(content))


def with_true_sizes(content: bytes) -> bytes:
    """A file that ends where it says; the chunk that went on beyond its end, or the last one, ends there too."""
    if len(content) < 20:
        return content
    changed, start, end = bytearray(content), 12, len(content)
    changed[4:8] = (end - 8).to_bytes(4, "little")
    while (behind := start + 8 + (size := int.from_bytes(changed[start + 4 : start + 8], "little"))) + 8 <= end:
        start = behind + size % 2
    changed[start + 4 : start + 8] = max(0, end - start - 8).to_bytes(4, "little")
    return bytes(changed[:end])


def main() -> None:
    with tempfile.TemporaryDirectory() as seeds:
        for family, seed, _, content in files():
            (Path(seeds) / f"{family[:2]}-{seed}").write_bytes(content[:_MAX_SEED_BYTES])
        sound = np.sin(np.arange(600, dtype=np.float32) / 9) / 2
        for name, content in (
            ("mono", encode_wav(sound)),
            ("stereo", encode_wav(np.stack([sound, sound], axis=1), 48_000)),
            ("float", float_wav(sound)),
        ):
            (Path(seeds) / name).write_bytes(content)
        given = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
        options = [argument for argument in sys.argv[1:] if argument.startswith("-")]
        atheris.Setup([sys.argv[0], *options, *given, seeds], attempt)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
