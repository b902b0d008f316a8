"""A model folder as one file: a zip whose bytes depend on the folder's files alone.

Core ML's packages are folders, so files may lie deeper; folders themselves have no entries, and what is in none of them
is not there. Nothing of the disk shows: neither the order in which it lists names, nor times, nor permissions.

Stored, not compressed: weights do not shrink, and a device checks a stored file without unpacking it first.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from projectone.contracts.packages import conflict_of, is_package_path
from projectone.contracts.releases import ReleaseFile
from projectone.errors import ConversionError
from projectone.storage.blobs import FileBlobs
from projectone.storage.files import TEMPORARY_PREFIX, digest_of, read_blocks

# The earliest time that a zip can say; anything else would be the time of packing.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_BLOCK_BYTES = 1024 * 1024
_UNIX = 3
_PLAIN_FILE_MODE = 0o100644 << 16


@dataclass(frozen=True, kw_only=True)
class Package:
    """A packed model: what a release says about it."""

    sha256: str
    size_bytes: int
    files: tuple[ReleaseFile, ...]


def pack(folder: Path, packages: FileBlobs) -> Package:
    """Put the files of `folder` into one package and prove that it holds them.

    Raises:
        ConversionError: if the folder holds something else than plain files and folders of them, if a name is not
            safe everywhere, or the package is not the folder.
    """
    packages.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=packages.folder) as temporary:
        path = Path(temporary) / "package.zip"
        package = write_package(folder, path)
        packages.put(read_blocks(path), expected_sha256=package.sha256)
    return package


def write_package(folder: Path, path: Path) -> Package:
    """As `pack`, to a file of one's own, which must not exist.

    Raises:
        ConversionError: as `pack`.
    """
    files = _list_files(folder)
    with zipfile.ZipFile(path, "x", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for file in files:
            _add(archive, folder / file.path, file)
    check_parity(path, files)
    return Package(sha256=digest_of(path), size_bytes=path.stat().st_size, files=files)


def check_parity(package: Path, files: tuple[ReleaseFile, ...]) -> None:
    """That the package, read as a device reads it, holds exactly these files.

    Raises:
        ConversionError: naming the first difference.
    """
    with zipfile.ZipFile(package) as archive:
        names = [entry.filename for entry in archive.infolist()]
        expected = [file.path for file in files]
        if names != expected:
            raise ConversionError(f"package: expected the files {expected}, got {names}")
        for file in files:
            digest = hashlib.sha256()
            with archive.open(file.path) as stream:
                while block := stream.read(_BLOCK_BYTES):
                    digest.update(block)
            if digest.hexdigest() != file.sha256:
                raise ConversionError(
                    f"package: {file.path!r}: expected sha256 {file.sha256}, got {digest.hexdigest()}"
                )


def _list_files(folder: Path) -> tuple[ReleaseFile, ...]:
    paths = {path.relative_to(folder).as_posix(): path for path in _walk(folder)}
    odd = sorted(name for name in paths if not is_package_path(name))
    if odd or not paths:
        raise ConversionError(f"model folder: expected names of letters and digits, got {odd or 'nothing'}")
    if (conflict := conflict_of(paths)) is not None:
        raise ConversionError(f"model folder: its files cannot lie in one folder everywhere: {conflict}")
    return tuple(
        ReleaseFile(path=name, sha256=digest_of(path), size_bytes=path.stat().st_size)
        for name, path in sorted(paths.items())
    )


def _walk(folder: Path) -> Iterator[Path]:
    """Every file below `folder`; whatever is neither file nor folder is refused, links above all."""
    for path in folder.iterdir():
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ConversionError(f"model folder: expected plain files only, got {path.name!r}")
        if path.is_file():
            yield path
            continue
        inside = list(_walk(path))
        if not inside:
            raise ConversionError(f"model folder: {path.name!r} is empty, and a package has no folders of its own")
        yield from inside


def _add(archive: zipfile.ZipFile, path: Path, file: ReleaseFile) -> None:
    entry = zipfile.ZipInfo(file.path, date_time=_EPOCH)
    entry.compress_type = zipfile.ZIP_STORED
    entry.create_system = _UNIX
    entry.external_attr = _PLAIN_FILE_MODE
    entry.file_size = file.size_bytes  # known beforehand, so that large files get their zip64 header
    with path.open("rb") as source, archive.open(entry, "w") as target:
        shutil.copyfileobj(source, target, _BLOCK_BYTES)
