"""Hostile archives: each is refused for its own reason before it costs anything."""

import io
import os
import stat
import struct
import tracemalloc
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from projectone.errors import DataError
from projectone.server.corpus.archive import read_pairs

ID = "6a0e3c3e-9d0c-4c39-8b7e-6a6f4c1f5f11"
OTHER = "7b1f4d4f-0e1d-4d4a-9c8f-7b7a5d2a6a22"


def packed(*members: tuple[zipfile.ZipInfo | str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def named(name: str) -> bytes:
    return packed((name, b"x"))


def special(mode: int) -> bytes:
    info = zipfile.ZipInfo(f"{ID}.wav")
    info.external_attr = mode << 16
    return packed((info, b"/etc/passwd"))


def patched(content: bytes, *, directory: dict[int, bytes]) -> bytes:
    """Change bytes of the first directory entry, at offsets from its beginning."""
    start = content.index(b"PK\x01\x02")
    changed = bytearray(content)
    for offset, value in directory.items():
        changed[start + offset : start + offset + len(value)] = value
    return bytes(changed)


def overlapping() -> bytes:
    """Two directory entries that share one member's bytes."""
    content = packed((f"{ID}.wav", b"x" * 500), (f"{OTHER}.wav", b"y" * 500))
    second = content.rindex(b"PK\x01\x02")
    changed = bytearray(content)
    changed[second + 42 : second + 46] = struct.pack("<I", 0)
    return bytes(changed)


def many_entries(n: int) -> bytes:
    return b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, n, n, 46 * n, 0, 0)


def duplicate() -> bytes:
    content = packed((f"{ID}.wav", b"x"), (f"{OTHER}.wav", b"y"))
    return content.replace(OTHER.encode(), ID.encode())


def damaged() -> bytes:
    return packed((f"{ID}.wav", b"x" * 100)).replace(b"x" * 100, b"x" * 99 + b"y")


def short() -> bytes:
    """The directory promises more than the member unpacks to."""
    return patched(packed((f"{ID}.wav", b"x" * 100)), directory={24: struct.pack("<I", 101)})


WAV_LIMIT = 60 * 48_000 * 8 + 4096
ARCHIVES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "no zip": ("archive-format", lambda: b"this is no zip" * 10),
    "nothing": ("archive-format", lambda: b""),
    "an executable": ("archive-format", lambda: b"\x7fELF" + os.urandom(500)),
    "a comment": ("archive-format", lambda: packed((f"{ID}.wav", b"x"))[:-2] + b"\x03\0abc"),
    "a tail": ("archive-format", lambda: packed((f"{ID}.wav", b"x")) + b"tail"),
    "zip64": (
        "archive-format",
        lambda: (lambda c: c[:-22] + b"PK\x06\x07" + bytes(16) + c[-22:])(packed((f"{ID}.wav", b"x"))),
    ),
    "a directory that lies about itself": ("archive-damaged", lambda: many_entries(3)),
    "65535 entries": ("archive-entries", lambda: many_entries(65535)),
    "a long directory": ("archive-entries", lambda: many_entries(3)[:12] + b"\xff\xff\xff\x7f" + many_entries(3)[16:]),
    "traversal": ("archive-name", lambda: named(f"../{ID}.wav")),
    "deep traversal": ("archive-name", lambda: named("../../../../tmp/evil.wav")),
    "absolute": ("archive-name", lambda: named(f"/{ID}.wav")),
    "a Windows path": ("archive-name", lambda: named(f"C:\\{ID}.wav")),
    "a folder": ("archive-name", lambda: named(f"{ID}.wav/")),
    "inside a folder": ("archive-name", lambda: named(f"clips/{ID}.wav")),
    "upper case": ("archive-name", lambda: named(f"{ID.upper()}.wav")),
    "another ending": ("archive-name", lambda: named(f"{ID}.exe")),
    "two endings": ("archive-name", lambda: named(f"{ID}.wav.json")),
    "backslashes": ("archive-name", lambda: named(f"..\\..\\{ID}.wav")),
    "letters that look alike": ("archive-name", lambda: named(f"{ID.replace('a', chr(0x430))}.wav")),
    "a nested archive": ("archive-name", lambda: packed(("inner.zip", packed((f"{ID}.wav", b"x"))))),
    "a zero in the name": ("archive-name", lambda: named(f"{ID}.wav").replace(b".wav", b".wa\0")),
    "a symbolic link": ("archive-name", lambda: special(stat.S_IFLNK | 0o777)),
    "a device": ("archive-name", lambda: special(stat.S_IFCHR | 0o666)),
    "a pipe": ("archive-name", lambda: special(stat.S_IFIFO | 0o666)),
    "one name twice": ("archive-duplicate", duplicate),
    "encrypted": ("archive-encrypted", lambda: patched(named(f"{ID}.wav"), directory={8: b"\x01\0"})),
    "bzip2": ("archive-compression", lambda: packed((f"{ID}.wav", b"x" * 99), compression=zipfile.ZIP_BZIP2)),
    "lzma": ("archive-compression", lambda: packed((f"{ID}.wav", b"x" * 99), compression=zipfile.ZIP_LZMA)),
    "an unknown method": ("archive-compression", lambda: patched(named(f"{ID}.wav"), directory={10: b"\x63\0"})),
    "overlapping": ("archive-overlap", overlapping),
    "into the directory": (
        "archive-overlap",
        lambda: patched(named(f"{ID}.wav"), directory={20: struct.pack("<II", 90_000, 90_000)}),
    ),
    "a bomb": (
        "archive-ratio",
        lambda: packed((f"{ID}.wav", bytes(20_000_000)), compression=zipfile.ZIP_DEFLATED),
    ),
    "a large bomb": (
        "archive-size",
        lambda: packed((f"{ID}.wav", bytes(WAV_LIMIT + 1)), compression=zipfile.ZIP_DEFLATED),
    ),
    "large metadata": ("archive-size", lambda: packed((f"{ID}.json", b"x" * 70_000))),
    "a stated 4 GB": (
        "archive-size",
        lambda: patched(named(f"{ID}.wav"), directory={24: struct.pack("<I", 0xFFFFFFFE)}),
    ),
    "a wrong checksum": ("archive-damaged", damaged),
    "less than stated": ("archive-damaged", short),
    "a local name that differs": (
        "archive-damaged",
        lambda: named(f"{ID}.wav").replace(ID.encode(), OTHER.encode(), 1),
    ),
    "no local header": ("archive-damaged", lambda: b"XX" + named(f"{ID}.wav")[2:]),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_hostile_archive_is_refused_for_its_own_reason(name: str) -> None:
    reason, make = ARCHIVES[name]
    content = make()
    tracemalloc.start()
    with pytest.raises(DataError) as caught:
        list(read_pairs(io.BytesIO(content)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.reason == reason
    assert peak < 4 * 2**20


def test_the_hostile_archives_are_forty() -> None:
    assert len(ARCHIVES) == 40


def test_control_the_standard_library_unpacks_most_of_them(tmp_path: Path) -> None:
    """Python's own `extractall` keeps to its folder, and writes what a bomb, a liar or a stranger's name asks for."""
    unpacked: dict[str, int] = {}
    for number, (name, (_, make)) in enumerate(ARCHIVES.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            with zipfile.ZipFile(io.BytesIO(make())) as archive:
                archive.extractall(folder)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):
            continue
        unpacked[name] = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert len(unpacked) >= 20
    assert unpacked["a bomb"] == 20_000_000
    assert unpacked["a large bomb"] > WAV_LIMIT
    assert {"deep traversal", "inside a folder", "another ending", "a nested archive"} <= unpacked.keys()


def test_a_good_archive_gives_its_pairs_in_order() -> None:
    ids = sorted((uuid.uuid4() for _ in range(5)), key=str)
    members = [(f"{sample_id}.{kind}", f"{sample_id}{kind}".encode()) for sample_id in ids for kind in ("wav", "json")]
    pairs = list(read_pairs(io.BytesIO(packed(*members[::-1], compression=zipfile.ZIP_DEFLATED))))
    assert [pair.sample_id for pair in pairs] == ids
    assert pairs[0].metadata == f"{ids[0]}json".encode()
    assert pairs[0].payload == f"{ids[0]}wav".encode()


def test_random_damage_never_breaks_the_reader() -> None:
    import random

    chance = random.Random(0)
    whole = packed((f"{ID}.wav", b"x" * 300), (f"{ID}.json", b"y" * 300), compression=zipfile.ZIP_DEFLATED)
    for _ in range(1500):
        changed = bytearray(whole)
        for _ in range(chance.randint(1, 5)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        try:
            list(read_pairs(io.BytesIO(bytes(changed))))
        except DataError as error:
            assert error.reason.startswith("archive-")
