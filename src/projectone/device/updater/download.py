"""A file's bytes, fetched in as many pieces as the wire needs and believed only as a whole.

`<sha256>.part` holds what has arrived, `<sha256>.etag` which bytes those are a part of. Both outlive the process, so
the next one goes on where this one stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO

from projectone.device.transport import Transport
from projectone.errors import ContractError, DigestMismatchError, RefusedError, StorageError, TransportError
from projectone.storage.files import digest_of, fsync_file, fsync_folder, write_atomically

ByteProgress = Callable[[int, int], None]
"""Called with the bytes that are here and the bytes there will be."""

_STALLS = 5  # attempts in a row that bring nothing
_STALLS_BEFORE_DIRECT = 2  # then the server itself is asked, and not whom it sends us to
_FIRST_PAUSE_S = 0.2
_STALE_PART = {HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A file of a release as the server has it: a package, or a short way to it."""

    path: str
    sha256: str
    size_bytes: int


class Download:
    """Fetches one file into `folder`, where nothing else is kept."""

    def __init__(
        self,
        transport: Transport,
        folder: Path,
        wanted: Wanted,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._transport = transport
        self._wanted = wanted
        self._sleep = sleep
        self._part = folder / f"{wanted.sha256}.part"
        self._etag = folder / f"{wanted.sha256}.etag"
        self.received_bytes = 0
        self._is_direct = False

    def fetch(self, on_progress: ByteProgress | None = None) -> Path:
        """The whole file, its digest checked.

        Raises:
            DigestMismatchError: if the server's bytes are not the ones that were signed; they are discarded.
            TransportError: if the wire failed too often; what arrived is kept for the next call.
            RefusedError: if the server does not give the file.
            StorageError: if the disk refused.
        """
        self._drop_others()
        try:
            self._fetch_all(on_progress)
            if self._actual() != self._wanted.sha256:
                # The part that was kept may be the bad one, or the CDN that we were sent to: once more from the start.
                self.discard()
                self._is_direct = True
                self._fetch_all(on_progress)
        except OSError as error:
            raise StorageError(f"the download could not be kept: {error}") from error
        actual = self._actual()
        if actual != self._wanted.sha256:
            self.discard()
            raise DigestMismatchError("download", expected=self._wanted.sha256, actual=actual)
        return self._part

    def missing_bytes(self) -> int:
        """How much is still to come."""
        return max(0, self._wanted.size_bytes - self._kept_bytes())

    def discard(self) -> None:
        """Remove what was fetched."""
        self._part.unlink(missing_ok=True)
        self._etag.unlink(missing_ok=True)

    def _fetch_all(self, on_progress: ByteProgress | None) -> None:
        stalls, furthest = 0, self._size()
        while self._size() < self._wanted.size_bytes:
            try:
                self._fetch_some(on_progress)
                problem = TransportError("the server ended the file early")
            except RefusedError as error:
                if error.status not in _STALE_PART:
                    raise
                self.discard()
                problem = error
            except ContractError as error:
                self.discard()
                self._is_direct = True
                problem = TransportError(str(error))
            except TransportError as error:
                problem = error
            if self._size() >= self._wanted.size_bytes:
                return
            # Further than ever, not just further: a server that begins anew and cuts every time would go on for ever.
            stalls = 0 if self._size() > furthest else stalls + 1
            self._is_direct = self._is_direct or stalls >= _STALLS_BEFORE_DIRECT
            furthest = max(furthest, self._size())
            if stalls >= _STALLS:
                raise problem
            self._sleep(_FIRST_PAUSE_S * 2.0**stalls)

    def _fetch_some(self, on_progress: ByteProgress | None) -> None:
        with self._transport.download(
            self._wanted.path, offset=self._kept_bytes(), etag=self._known_etag(), is_direct=self._is_direct
        ) as download:
            if download.start == 0:
                self.discard()
                if download.etag is not None:
                    write_atomically(self._etag, download.etag.encode())
            self._part.parent.mkdir(parents=True, exist_ok=True)
            with self._part.open("ab") as stream:
                try:
                    self._append(stream, download.start, download.pieces, on_progress)
                finally:
                    stream.flush()
                    fsync_file(stream.fileno())
            fsync_folder(self._part.parent)

    def _append(self, stream: IO[bytes], have: int, pieces: Iterator[bytes], on_progress: ByteProgress | None) -> None:
        total = self._wanted.size_bytes
        for piece in pieces:
            wanted = piece[: total - have]
            stream.write(wanted)
            have += len(wanted)
            self.received_bytes += len(wanted)
            if on_progress is not None:
                on_progress(have, total)
            if have >= total:  # a server that never ends is left here
                return

    def _known_etag(self) -> str | None:
        try:
            return self._etag.read_text()
        except (FileNotFoundError, UnicodeDecodeError):
            return None

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _kept_bytes(self) -> int:
        """Bytes that can be gone on from: they are of a known version, and not more than there should be."""
        size = self._size()
        if self._known_etag() is None or size > self._wanted.size_bytes:
            return 0
        return size

    def _actual(self) -> str:
        return digest_of(self._part)

    def _drop_others(self) -> None:
        folder = self._part.parent
        for path in folder.iterdir() if folder.is_dir() else ():
            if path not in (self._part, self._etag):
                path.unlink()
