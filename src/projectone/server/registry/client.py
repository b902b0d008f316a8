"""The Hub's own client, set up and understood in one place: settings, errors, and what a listing says of a file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils.tqdm import disable_progress_bars

from projectone.errors import ProjectOneError, RegistryError, TransportError
from projectone.server.registry.protocol import FileDigest

PUBLIC_ENDPOINT = "https://huggingface.co"
_IS_XET_UNWANTED = constants.HF_HUB_DISABLE_XET


def set_up_client(endpoint: str) -> None:
    """Settle what the client otherwise reads from the environment when it is imported, long before us."""
    constants.HF_HUB_DISABLE_TELEMETRY = True
    # With Xet on it would neither ask our Hub whether it has that storage, nor fall back.
    constants.HF_HUB_DISABLE_XET = _IS_XET_UNWANTED or endpoint != PUBLIC_ENDPOINT
    disable_progress_bars()


def is_listed_as(item: Any, digest: FileDigest, git_id: str) -> bool:  # noqa: ANN401 - the client's RepoSibling
    """Whether the Hub lists a file with the digest that it must have."""
    if item.lfs is not None:
        return (item.lfs.sha256, item.lfs.size) == (digest.sha256, digest.size_bytes)
    return (item.blob_id, item.size) == (git_id, digest.size_bytes)


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """The client's many exceptions become two: the Hub said no, or nobody knows yet."""
    try:
        yield
    except ProjectOneError:
        raise
    except Exception as error:
        status, told = status_of(error), " ".join(str(error).split())
        if isinstance(error, RevisionNotFoundError):
            raise RegistryError(
                f"{what}: there is no such version, tag or commit; see `projectone-server registry list`"
            ) from error
        if isinstance(error, RepositoryNotFoundError):
            raise RegistryError(
                f"{what}: the Hub has no such repository, or this token may not read it; perhaps nothing of this "
                "family (`--family`) was published yet"
            ) from error
        if isinstance(error, ValueError) or (status is not None and status < 500 and status not in (408, 429)):
            raise RegistryError(f"{what}: {told}") from error
        raise TransportError(f"{what}: {told}; try again") from error


def status_of(error: BaseException | None) -> int | None:
    """The HTTP status behind an error of the client; None if there is none."""
    while error is not None:
        if isinstance(error, HfHubHTTPError):
            return int(error.response.status_code)
        error = error.__cause__
    return None
