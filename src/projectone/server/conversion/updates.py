"""Short ways from earlier releases to a new one: the difference of their weights, where that is worth it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from projectone.contracts.releases import ReleaseUpdate
from projectone.errors import ArtifactError
from projectone.speech.checkpoint import WEIGHTS
from projectone.speech.weight_delta import apply_delta, write_delta
from projectone.storage.blobs import FileBlobs
from projectone.storage.files import TEMPORARY_PREFIX, digest_of, read_blocks

# Of the whole package. Beyond it, a download that needs no earlier release and no rebuilding is the better one.
_LARGEST_SHARE = 0.6


def make_updates(
    new: Path, earlier: Iterable[Path], packages: FileBlobs, *, below_bytes: int
) -> tuple[ReleaseUpdate, ...]:
    """Put a difference beside the package for every earlier model where it is much smaller, each proved by rebuilding.

    Args:
        new: Folder of the model that is released.
        earlier: Folders of models that devices have.
        packages: Where packages lie; a difference is one more file there, named by its digest.
        below_bytes: The size of the whole package.

    Raises:
        StorageError: if the disk refused.
    """
    updates: list[ReleaseUpdate] = []
    packages.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=packages.folder) as temporary:
        delta, rebuilt = Path(temporary) / "delta", Path(temporary) / "rebuilt"
        for folder in earlier:
            try:
                facts = write_delta(folder / WEIGHTS, new / WEIGHTS, delta)
            except ArtifactError:
                continue  # of another size or type: such a release is downloaded whole
            size_bytes = delta.stat().st_size
            if size_bytes > _LARGEST_SHARE * below_bytes:
                continue
            apply_delta(folder / WEIGHTS, delta, rebuilt)  # checks the digest of what comes out
            sha256 = digest_of(delta)
            packages.put(read_blocks(delta), expected_sha256=sha256)
            updates.append(
                ReleaseUpdate(path=WEIGHTS, base_sha256=facts.base_sha256, sha256=sha256, size_bytes=size_bytes)
            )
    return tuple(updates)
