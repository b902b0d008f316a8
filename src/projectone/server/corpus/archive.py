"""A ZIP of pairs, read member by member: names are ids or the archive is refused, and nothing is written by name.

archive-format      not a ZIP, or one with a comment, several disks, ZIP64 or a damaged directory
archive-entries     more members than the limit
archive-name        a name that is not `<uuid>.json`, `.wav` or `.txt` (paths, links, folders, nested archives)
archive-duplicate   two members of one name, or two payloads of one sample
archive-encrypted, archive-compression
archive-overlap     members that share bytes
archive-ratio       a member that grows too much
archive-size        a member, or all of them, too large
archive-damaged     a member that does not unpack to what the directory says
"""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO
from uuid import UUID

from projectone.contracts.audio import MAX_CLIP_BYTES
from projectone.contracts.endpoints import MAX_BATCH_ITEMS
from projectone.errors import DataError

MAX_TOTAL_BYTES = 2 * 1024**3
MAX_METADATA_BYTES = 64 * 1024
MAX_RATIO = 20
# Below this size a member is not worth a bomb; short JSON compresses well.
_ALWAYS_ALLOWED_BYTES = 64 * 1024
_NAME = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.(json|wav|txt)")
_END_RECORD_BYTES = 22
_ZIP64_LOCATOR_BYTES = 20
_LOCAL_HEADER_BYTES = 30
# Each directory entry is 46 bytes, a name of 41 and perhaps a few fields of extra.
_MAX_DIRECTORY_BYTES = 2 * MAX_BATCH_ITEMS * 160
_ENCRYPTED_FLAG = 0x1


@dataclass(frozen=True)
class Pair:
    """One sample of an archive; a half that is missing is None."""

    sample_id: UUID
    metadata: bytes | None
    payload: bytes | None


def read_pairs(stream: IO[bytes]) -> Iterator[Pair]:
    """The pairs of an archive in the order of their ids, one in memory at a time.

    The whole directory is judged before the first member is unpacked.

    Args:
        stream: The archive, seekable.

    Raises:
        DataError: with one of the reasons in this module's docstring.
    """
    _judge_end(stream)
    try:
        with zipfile.ZipFile(stream) as archive:
            members = _judge_directory(archive)
            for sample_id in sorted({sample_id for sample_id, _ in members}):
                metadata = _unpack(archive, members.get((sample_id, "json")), MAX_METADATA_BYTES)
                named = members.get((sample_id, "wav")) or members.get((sample_id, "txt"))
                yield Pair(UUID(sample_id), metadata, _unpack(archive, named, MAX_CLIP_BYTES))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OverflowError) as error:
        raise DataError("archive-damaged", f"archive: {error}") from error


def _judge_end(stream: IO[bytes]) -> None:
    """The directory's size, from the archive's last bytes, before anybody reads that directory into memory."""
    stream.seek(0, 2)
    size_bytes = stream.tell()
    if size_bytes < _END_RECORD_BYTES:
        raise DataError("archive-format", f"archive: {size_bytes} bytes are no ZIP")
    stream.seek(max(0, size_bytes - _END_RECORD_BYTES - _ZIP64_LOCATOR_BYTES))
    tail = stream.read()
    end = tail[-_END_RECORD_BYTES:]
    if end[:4] != b"PK\x05\x06" or end[20:22] != b"\0\0":
        raise DataError("archive-format", "archive: expected a ZIP without a comment")
    if tail[:4] == b"PK\x06\x07" and len(tail) > _END_RECORD_BYTES:
        raise DataError("archive-format", "archive: ZIP64 is not read here; send smaller batches")
    n_entries = int.from_bytes(end[10:12], "little")
    if n_entries > 2 * MAX_BATCH_ITEMS or int.from_bytes(end[12:16], "little") > _MAX_DIRECTORY_BYTES:
        raise DataError(
            "archive-entries", f"archive: expected at most {MAX_BATCH_ITEMS} pairs, got {n_entries} members"
        )


def _judge_directory(archive: zipfile.ZipFile) -> dict[tuple[str, str], zipfile.ZipInfo]:
    """Id and kind to member."""
    members: dict[tuple[str, str], zipfile.ZipInfo] = {}
    for info in archive.infolist():
        found = _NAME.fullmatch(info.filename)
        mode = info.external_attr >> 16
        if found is None or info.filename != info.orig_filename or stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            expected = "<uuid>.json, and <uuid>.wav or <uuid>.txt"
            raise DataError("archive-name", f"archive: expected {expected}, got {info.filename[:80]!r}")
        other = {"wav": "txt", "txt": "wav"}.get(found[2], "json")
        if {(found[1], found[2]), (found[1], other)} & members.keys():
            raise DataError(
                "archive-duplicate", f"archive: {info.filename!r}: is there twice, or beside another payload"
            )
        _judge_member(info, MAX_CLIP_BYTES if found[2] == "wav" else MAX_METADATA_BYTES)
        members[found[1], found[2]] = info
    if len(members) > 2 * MAX_BATCH_ITEMS:
        raise DataError("archive-entries", f"archive: expected at most {MAX_BATCH_ITEMS} pairs")
    if (total := sum(info.file_size for info in members.values())) > MAX_TOTAL_BYTES:
        raise DataError("archive-size", f"archive: expected at most {MAX_TOTAL_BYTES} bytes unpacked, got {total}")
    _judge_overlap(list(members.values()), archive.start_dir)
    return members


def _judge_member(info: zipfile.ZipInfo, limit_bytes: int) -> None:
    if info.flag_bits & _ENCRYPTED_FLAG:
        raise DataError("archive-encrypted", f"archive: {info.filename!r} is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError("archive-compression", f"archive: {info.filename!r}: expected stored or deflated")
    if info.file_size > limit_bytes:
        raise DataError("archive-size", f"archive: {info.filename!r}: expected at most {limit_bytes} bytes")
    if info.file_size > max(_ALWAYS_ALLOWED_BYTES, MAX_RATIO * info.compress_size):
        raise DataError("archive-ratio", f"archive: {info.filename!r} grows more than {MAX_RATIO} times")


def _judge_overlap(members: list[zipfile.ZipInfo], directory_start: int) -> None:
    end = 0
    for info in sorted(members, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise DataError("archive-overlap", f"archive: {info.filename!r} begins inside another member")
        end = info.header_offset + _LOCAL_HEADER_BYTES + len(info.filename) + info.compress_size
    if end > directory_start:
        raise DataError("archive-overlap", "archive: a member reaches into the directory")


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo | None, limit_bytes: int) -> bytes | None:
    if info is None:
        return None
    with archive.open(info) as member:
        content = member.read(limit_bytes + 1)
    if len(content) != info.file_size:
        message = f"archive: {info.filename!r}: expected {info.file_size} bytes, got {len(content)}"
        raise DataError("archive-damaged", message)
    return content
