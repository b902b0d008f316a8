"""The WAV parser and the batch importer under generated input: a result that holds, or a refusal with a reason."""

from __future__ import annotations

import io
import os
import struct
import uuid
import zipfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.caller import a_clip
from tests.hostile.wav_promises import parse_safely

import projectone.waveform.wav as wav
from projectone.errors import DataError
from projectone.server.corpus.archive import read_pairs

IS_FULL = bool(os.environ.get("PROJECTONE_FULL_HOSTILE"))
N_FILES, N_ARCHIVES = (8_000, 4_000) if IS_FULL else (2_000, 1_000)
ODD_NUMBERS = st.sampled_from([0, 1, 2, 3, 7, 16, 44, 255, 2**15, 2**16 - 1, 2**31, 2**32 - 1])
FORMATS = st.builds(
    lambda tag, channels, rate, bytes_per_s, block, bits, tail: (
        struct.pack("<HHIIHH", tag, channels, rate, bytes_per_s, block, bits) + tail
    ),
    st.sampled_from([0, 1, 3, 0xFFFE, 0x11, 0xFFFF]),
    st.integers(0, 4) | st.just(65_535),
    st.sampled_from([8_000, 16_000, 48_000]) | ODD_NUMBERS,
    st.sampled_from([32_000, 64_000]) | ODD_NUMBERS,
    st.sampled_from([2, 4, 8]) | st.integers(0, 65_535),
    st.sampled_from([16, 24, 32]) | st.integers(0, 65_535),
    st.sampled_from([b"", b"\0\0", b"\x16\0" + bytes(22)]),
)
FORMAT = st.tuples(st.just(b"fmt "), FORMATS)
DATA = st.tuples(st.just(b"data"), st.binary(max_size=64) | st.just(a_clip(duration_s=0.12)[44:]))
CHUNKS = st.one_of(
    FORMAT,
    DATA,
    st.tuples(st.just(b"fact"), st.integers(0, 2**32 - 1).map(lambda n: n.to_bytes(4, "little"))),
    st.tuples(st.sampled_from([b"LIST", b"data", b"fmt ", b"RIFF", b"\0\0\0\0"]), st.binary(max_size=40)),
)


@st.composite
def riff_files(draw: st.DrawFn) -> bytes:
    """RIFF files, most of them in good order and with true sizes."""
    body = b"WAVE"
    for name, content in draw(st.tuples(FORMAT, DATA).map(list) | st.lists(CHUNKS, max_size=5)):
        body += name + draw(sizes(len(content))).to_bytes(4, "little") + content + bytes(len(content) % 2)
    name = draw(st.sampled_from([b"RIFF"] * 6 + [b"RIFX", b"RF64"]))
    return name + draw(sizes(len(body))).to_bytes(4, "little") + body


def sizes(true: int) -> st.SearchStrategy[int]:
    return st.sampled_from([true] * 7 + [true + 1, 0, 2**32 - 1])


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """`content` with some bytes changed, and perhaps an end cut off or added."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(0, 4))):
        changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
    return bytes(changed[: draw(st.just(len(changed)) | st.integers(0, len(changed)))]) + draw(st.binary(max_size=4))


def test_generated_wav_files_give_sound_or_a_reason() -> None:
    found: set[str | None] = set()

    @settings(max_examples=N_FILES)
    @given(riff_files() | damaged(a_clip(duration_s=0.12)))
    def attempt(content: bytes) -> None:
        found.add(parse_safely(content))

    attempt()
    assert None in found
    assert len(found) >= 8, "the files are all alike"


def pair(number: int) -> dict[str, bytes]:
    name = str(uuid.UUID(int=number))
    return {f"{name}.json": b'{"sample": 1}', f"{name}.wav": a_clip(number, duration_s=0.12)}


def archive(members: dict[str, bytes], compression: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return stream.getvalue()


GOOD = {kind: archive(pair(1) | pair(2), kind) for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)}
MEMBERS = st.dictionaries(
    st.uuids().map(str).flatmap(lambda name: st.sampled_from([f"{name}.json", f"{name}.wav", f"../{name}.wav", name])),
    st.binary(max_size=200),
    max_size=4,
)


def read_safely(content: bytes) -> str | None:
    """The reason of a refusal; None for an archive whose pairs were read."""
    try:
        pairs = list(read_pairs(io.BytesIO(content)))
    except DataError as error:
        assert error.reason.startswith("archive-")
        return error.reason
    ids = [pair.sample_id for pair in pairs]
    assert len(ids) == len(set(ids))
    assert sum(len(half) for pair in pairs for half in (pair.metadata, pair.payload) if half) <= 20 * 65_536 * 4
    return None


def test_generated_archives_give_pairs_or_a_reason() -> None:
    found: set[str | None] = set()
    built = st.builds(archive, MEMBERS, st.sampled_from(list(GOOD)))

    @settings(max_examples=N_ARCHIVES)
    @given(built | st.sampled_from(list(GOOD.values())).flatmap(damaged) | built.flatmap(damaged))
    def attempt(content: bytes) -> None:
        found.add(read_safely(content))

    attempt()
    assert None in found
    assert len(found) >= 4, "the archives are all alike"


def test_the_fuzzing_finds_a_parser_that_believes_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: without the judgement of the format, generated files get through that break a promise."""

    def believe(content: bytes, chunk: Any, data: Any, max_duration_s: float) -> wav.WavHeader:
        _, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", content, chunk.start)
        end = min(data.start + data.size_bytes, len(content))
        return wav.WavHeader(rate, max(1, channels), bits, False, 1, slice(data.start, end))

    monkeypatch.setattr(wav, "_judge_format", believe)
    broken = 0

    @settings(max_examples=100)
    @given(riff_files())
    def attempt(content: bytes) -> None:
        nonlocal broken
        try:
            parse_safely(content)
        except Exception:
            broken += 1

    attempt()
    assert broken > 0
