"""python-tuf behind this device's own wire, clock, sizes and errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tuf.api import exceptions
from tuf.api.metadata import TargetFile, Timestamp
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from projectone.contracts.base import plain_json
from projectone.contracts.endpoints import SIGNED_DOCUMENTS, SIGNED_METADATA
from projectone.device.transport import Transport
from projectone.errors import (
    ArtifactError,
    ContractError,
    ExpiredReleaseError,
    RefusedError,
    RollbackError,
    SettingsError,
    SignatureError,
    StorageError,
    TransportError,
)

# Ours are a tenth of these. What is larger is somebody's way to fill a disk.
_CAPS = UpdaterConfig(
    max_root_rotations=256,
    max_delegations=4,
    root_max_length=32 * 1024,
    timestamp_max_length=4 * 1024,
    snapshot_max_length=16 * 1024,
    targets_max_length=128 * 1024,
)
_MAX_DOCUMENT_BYTES = 256 * 1024
# The server signs for a day. A date further ahead than this: the clock is far behind, or a stolen key signed for ever.
_MAX_AHEAD = timedelta(days=8)


class MetadataClient:
    """One look at a server's metadata."""

    def __init__(self, folder: Path, root: bytes, transport: Transport, *, now: datetime) -> None:
        """Begin at the root that the device carries.

        Raises:
            SettingsError: if it is no root, or did not sign itself.
            StorageError: if the disk refused.
        """
        self._fetcher = _Fetcher(transport)
        try:
            self._updater = Updater(
                str(folder), SIGNED_METADATA, fetcher=self._fetcher, config=_CAPS, bootstrap=_plain(root)
            )
        except (exceptions.RepositoryError, ContractError) as error:
            raise SettingsError(f"PROJECTONE_RELEASE_ROOT: expected the server's first root: {error}") from error
        except OSError as error:
            raise StorageError(f"signed metadata: {error}") from error
        # The library asks the system. The one clock of this device is asked here, so that tests can set it.
        self._trusted.reference_time = now
        self._now = now

    def refresh(self) -> None:
        """Fetch what is new, and verify all of it.

        Raises:
            TransportError, ExpiredReleaseError, SignatureError, RollbackError, ArtifactError, ContractError,
            StorageError: whatever keeps it from being believed.
        """
        with _explained("signed metadata"):
            self._updater.refresh()
        timestamp = self._trusted[Timestamp.type]
        if timestamp.expires - self._now > _MAX_AHEAD:
            raise ExpiredReleaseError(
                f"signed metadata: its date {timestamp.expires.isoformat()} is more than {_MAX_AHEAD.days} days ahead: "
                "the clock of this device is wrong, or the server's; the model in use stays"
            )

    def find(self, path: str) -> dict[str, Any] | None:
        """What the metadata says of a document beside its digest; None if it does not list it.

        Raises:
            As `refresh`: a role that something was delegated to is verified here.
        """
        with _explained(repr(path)):
            target = self._updater.get_targetinfo(path)
        if target is None:
            return None
        custom = target.unrecognized_fields.get("custom")
        return custom if isinstance(custom, dict) else {}

    def fetch(self, path: str) -> bytes:
        """A document that is listed, its length and digest checked.

        Raises:
            ArtifactError: if it is not what is listed.
            TransportError: if it could not be fetched.
        """
        with _explained(repr(path)):
            target = self._updater.get_targetinfo(path)
            assert target is not None, "only what was found is fetched"
            if set(target.hashes) != {"sha256"} or target.length > _MAX_DOCUMENT_BYTES:
                raise ArtifactError(
                    f"{path!r}: expected sha256 and at most {_MAX_DOCUMENT_BYTES} bytes, "
                    f"got {sorted(target.hashes)} and {target.length}"
                )
            content = self._fetcher.download_bytes(_address(target), target.length)
            target.verify_length_and_hashes(content)
            return content

    @property
    def _trusted(self) -> Any:  # noqa: ANN401 - a type that the library keeps to itself
        return self._updater._trusted_set


class _Fetcher(FetcherInterface):
    """Fetches through the device's transport, and lets only plain JSON in."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            answer = self._transport.call("GET", url, is_signed=False)
        except RefusedError as error:
            raise exceptions.DownloadHTTPError(str(error), error.status) from error
        yield _plain(answer.body)


def _address(target: TargetFile) -> str:
    folder, _, name = target.path.rpartition("/")
    return f"{SIGNED_DOCUMENTS}/{quote(folder)}/{target.hashes['sha256']}.{quote(name)}"


def _plain(content: bytes) -> bytes:
    """JSON that every reader reads alike: no name twice in one object.

    Raises:
        ContractError: if it is something else.
    """
    try:
        plain_json(content)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"signed metadata: expected plain JSON: {error}") from error
    return content


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """The library's errors as this project's."""
    try:
        yield
    except exceptions.ExpiredMetadataError as error:
        raise ExpiredReleaseError(
            f"{what}: {error}: the server did not sign it again, or the clock of this device is ahead; "
            "the model in use stays"
        ) from error
    except exceptions.UnsignedMetadataError as error:
        raise SignatureError(
            f"{what}: {error}; the model in use stays. Is PROJECTONE_RELEASE_ROOT the root of this server?"
        ) from error
    except exceptions.BadVersionNumberError as error:
        raise RollbackError(f"{what}: {error}; the model in use stays") from error
    except (exceptions.LengthOrHashMismatchError, exceptions.DownloadLengthMismatchError) as error:
        raise ArtifactError(f"{what}: {error}") from error
    except exceptions.RepositoryError as error:
        raise ContractError(f"{what}: {error}") from error
    except exceptions.DownloadHTTPError as error:
        told = f"{what}: {error}" + ("; is the server older than this app?" if error.status_code == 404 else "")
        raise RefusedError(told, status=error.status_code, reason="metadata-unknown") from error
    except exceptions.DownloadError as error:
        raise TransportError(f"{what}: {error}") from error
    except OSError as error:
        raise StorageError(f"{what}: {error}") from error
