"""Looks for traces of a person in every row and every byte of the backend, and in all that it could open.

What lies sealed gives nothing away to a search of bytes, whoever it is of. So it is opened with the backend's own keys,
and searched as the backend could read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from projectone.server.corpus.clips import read_clip
from projectone.server.database import open_engine, reading
from projectone.server.home import open_catalog
from projectone.server.settings import ServerSettings
from projectone.storage.blobs import FileBlobs
from projectone.waveform.wav import parse_wav

_KEY_BYTES = 8
_SLICE_BYTES = 256
_WINDOW_BYTES = 64 * 1024 * 1024
_SOUND = "sound of clip"


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        rows: Table and traces of each row that holds one.
        files: File and traces of each file that holds one.
        opened: Sealed sample and traces of each that holds one, once it is opened.
        n_opened: How many were opened.
    """

    rows: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str], ...]
    n_files: int
    n_bytes: int
    opened: tuple[tuple[str, str], ...] = ()
    n_opened: int = 0

    @property
    def n_rows(self) -> int:
        """Rows that hold a trace."""
        return len(self.rows)

    @property
    def n_hits(self) -> int:
        """Files and opened samples that hold a trace."""
        return len(self.files) + len(self.opened)

    @property
    def sounding(self) -> tuple[str, ...]:
        """Files in which a recording lies open."""
        return tuple(name for name, traces in self.files if _SOUND in traces)


@dataclass(frozen=True)
class Traces:
    """What a person would leave behind: name of the trace to its bytes, each of at least eight."""

    bytes_by_name: dict[str, bytes]

    @classmethod
    def of(cls, identities: Iterable[str], wavs: Iterable[bytes], digests: Iterable[str]) -> Traces:
        """Random names (contributor, device, samples), recordings (a stretch of each one's sound) and digests.

        Identifiers with dashes, as UUIDs, are looked for in all three forms in which a file may hold them.
        """
        needles: dict[str, bytes] = {}
        for number, text in enumerate(identities):
            needles[f"identity {number}"] = text.encode()
            bare = text.replace("-", "")
            if len(bare) == 32 and bare != text and _is_hex(bare):
                needles[f"identity {number}, without dashes"] = bare.encode()
                needles[f"identity {number}, binary"] = bytes.fromhex(bare)
        for number, digest in enumerate(digests):
            needles[f"digest of clip {number}"] = digest.encode()
            needles[f"digest of clip {number}, binary"] = bytes.fromhex(digest)
        for number, wav in enumerate(wavs):
            needles[f"{_SOUND} {number}"] = distinctive_slice(wav)
        return cls(needles)


def opened_samples(settings: ServerSettings) -> Iterator[tuple[str, bytes]]:
    """Every sample that the backend can open, by its id: its words and its clip, as its worker reads them."""
    engine = open_engine(settings.database_url)
    try:
        catalog, blobs = open_catalog(settings, engine), FileBlobs(settings.home / "blobs")
        for row in catalog.living():
            words = "\0".join(str(value) for value in vars(row).values())
            yield str(row.sample_id), words.encode() + b"\0" + read_clip(catalog, blobs, row.clip_sha256)
    finally:
        engine.dispose()


def search_backend(
    folders: Sequence[Path], database_url: str, traces: Traces, opened: Iterable[tuple[str, bytes]] = ()
) -> Found:
    """Look through every row of every table, every byte of every file, and what was opened for it, see above."""
    files: list[tuple[str, str]] = []
    n_files = n_bytes = 0
    sieve = _Sieve(traces.bytes_by_name)
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            n_files += 1
            n_bytes += path.stat().st_size
            name = str(path.relative_to(folder.parent))
            # A name can give somebody away as well as a content: blobs are named by their digest.
            found = {trace for trace, needle in traces.bytes_by_name.items() if needle in name.encode()}
            found |= sieve.find_in(path)
            if found:
                files.append((name, ", ".join(sorted(found))))
    inside: list[tuple[str, str]] = []
    n_opened = 0
    for name, content in opened:
        n_opened += 1
        if found := sieve.find(content):
            inside.append((name, ", ".join(sorted(found))))
    return Found(tuple(search_rows(database_url, traces)), tuple(files), n_files, n_bytes, tuple(inside), n_opened)


def search_rows(database_url: str, traces: Traces) -> list[tuple[str, str]]:
    """Rows of any table that hold a trace, as table and traces."""
    found: list[tuple[str, str]] = []
    engine = open_engine(database_url)
    try:
        with reading(engine) as connection:
            listed = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")
            for table in sorted(row[0] for row in listed):
                for row in connection.exec_driver_sql(f'SELECT * FROM "{table}"'):
                    content = b"\0".join(
                        value if isinstance(value, bytes) else str(value).encode() for value in row if value is not None
                    )
                    names = [name for name, needle in traces.bytes_by_name.items() if needle in content]
                    if names:
                        found.append((table, ", ".join(names)))
    finally:
        engine.dispose()
    return found


def distinctive_slice(wav: bytes) -> bytes:
    """The loudest 8 ms of a recording as 16-bit PCM: bytes that no other recording has.

    The silence at the ends would be found anywhere.
    """
    samples = parse_wav(wav).samples[:, 0]
    pcm = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2")
    n = min(_SLICE_BYTES // 2, pcm.size)
    energy = np.convolve(pcm.astype(np.float64) ** 2, np.ones(n), mode="valid")
    begin = int(np.argmax(energy))
    return bytes(pcm[begin : begin + n].tobytes())


class _Sieve:
    """Many needles at once: two bytes of every position sieve first, then eight, then all.

    One pass costs about as much as reading; `bytes.find` for each needle would cost a pass each.
    """

    def __init__(self, needles: dict[str, bytes]) -> None:
        self._needles = needles
        self._by_key: dict[int, list[str]] = {}
        for name, needle in needles.items():
            if len(needle) < _KEY_BYTES:
                raise ValueError(f"{name}: expected at least {_KEY_BYTES} bytes to look for, got {len(needle)}")
            self._by_key.setdefault(int.from_bytes(needle[:_KEY_BYTES], "little"), []).append(name)
        self._keys = np.array(sorted(self._by_key), dtype="<u8")
        self._is_beginning = np.zeros(1 << 16, dtype=bool)
        self._is_beginning[(self._keys & 0xFFFF).astype(np.int64)] = True
        self._longest = max((len(needle) for needle in needles.values()), default=0)

    def find_in(self, path: Path) -> set[str]:
        found: set[str] = set()
        with path.open("rb") as stream:
            kept = b""
            while window := stream.read(_WINDOW_BYTES):
                content = kept + window
                found |= self.find(content)
                kept = content[-(self._longest - 1) :] if self._longest > 1 else b""
        return found

    def find(self, content: bytes) -> set[str]:
        if len(content) < _KEY_BYTES or not self._keys.size:
            return set()
        octets: npt.NDArray[np.uint8] = np.frombuffer(content, np.uint8)[: len(content) - _KEY_BYTES + 1]
        following = np.frombuffer(content, np.uint8)[1 : octets.size + 1]
        starts = np.flatnonzero(self._is_beginning[octets | (following.astype(np.uint16) << 8)])
        keys = np.zeros(starts.size, dtype="<u8")
        whole = np.frombuffer(content, np.uint8)
        for place in range(_KEY_BYTES):
            keys |= whole[starts + place].astype("<u8") << np.uint64(8 * place)
        found: set[str] = set()
        for index in np.flatnonzero(np.isin(keys, self._keys)):
            start = int(starts[index])
            for name in self._by_key[int(keys[index])]:
                needle = self._needles[name]
                if name not in found and content[start : start + len(needle)] == needle:
                    found.add(name)
        return found


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdef" for character in text)
