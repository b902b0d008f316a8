"""Short ways to a new release: the factors of an adapter, and differences of weights where they are worth it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from projectone.contracts.releases import BasePackage, ReleaseUpdate
from projectone.errors import ArtifactError, ConversionError
from projectone.server.conversion.package import pack
from projectone.speech.adapter_update import apply_adapter_update, write_adapter_update
from projectone.speech.checkpoint import WEIGHTS, hf_name_of, load_checkpoint, save_checkpoint
from projectone.speech.lora import read_adapter
from projectone.speech.weight_delta import apply_delta, write_delta
from projectone.storage.blobs import FileBlobs
from projectone.storage.files import TEMPORARY_PREFIX, digest_of, read_blocks

# Of the whole package. Beyond it, a download that needs no earlier release and no rebuilding is the better one.
_LARGEST_SHARE = 0.6


def make_updates(
    new: Path,
    earlier: Iterable[Path],
    packages: FileBlobs,
    *,
    below_bytes: int,
    base: Path | None = None,
    adapter: Path | None = None,
) -> tuple[ReleaseUpdate, ...]:
    """Put short ways beside the package, each proved by going it; what is hardly shorter is left out.

    Args:
        new: Folder of the model that is released.
        earlier: Folders of models that devices have.
        packages: Where packages lie; a way is one more file there, named by its digest.
        below_bytes: The size of the whole package.
        base: Folder of what `new` was trained from: the fixed base of all releases, which devices keep.
        adapter: Folder of the adapter that makes `new` of it, if that is how it was trained.

    Raises:
        StorageError: if the disk refused.
    """
    packages.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=packages.folder) as temporary:
        scratch = Path(temporary)
        makers = list(_adapter_ways(new, base, adapter, packages, scratch))
        makers += [_difference(new, folder) for folder in ([base] if base else []) + list(earlier)]
        ways: dict[str, ReleaseUpdate] = {}
        for make in makers:
            way = _made(make, scratch, packages, _LARGEST_SHARE * below_bytes)
            if way is not None:  # the base may be an earlier release, too
                ways.setdefault(f"{way.kind} {way.base_sha256}", way)
    return tuple(ways.values())


_Maker = Callable[[Path, Path], ReleaseUpdate]
"""Writes the way to the first path, goes it to the second, and says what it is but for the way's own digest."""


def _made(make: _Maker, scratch: Path, packages: FileBlobs, below_bytes: float) -> ReleaseUpdate | None:
    update, rebuilt = scratch / "update", scratch / "rebuilt"
    try:
        way = make(update, rebuilt)
    except ArtifactError:
        return None  # of another size or type, or nothing that can be summed exactly: it is downloaded whole
    size_bytes = update.stat().st_size
    if size_bytes > below_bytes:
        return None
    sha256 = digest_of(update)
    packages.put(read_blocks(update), expected_sha256=sha256)
    return way.model_copy(update={"sha256": sha256, "size_bytes": size_bytes})


def _difference(new: Path, folder: Path) -> _Maker:
    def make(update: Path, rebuilt: Path) -> ReleaseUpdate:
        facts = write_delta(folder / WEIGHTS, new / WEIGHTS, update)
        if facts.base_sha256 == facts.sha256:
            raise ArtifactError("the model is released again: whoever has it needs nothing")
        apply_delta(folder / WEIGHTS, update, rebuilt)  # checks the digest of what comes out
        return _way("delta", facts.base_sha256, None)

    return make


def _adapter_ways(
    new: Path, base: Path | None, adapter: Path | None, packages: FileBlobs, scratch: Path
) -> Iterator[_Maker]:
    if base is None or adapter is None:
        return
    sent = scratch / "base"
    _write_base(base, new, sent)

    def make(update: Path, rebuilt: Path) -> ReleaseUpdate:
        trained = read_adapter(adapter)
        factors = {hf_name_of(f"{layer}.weight"): pair for layer, pair in trained.factors.items()}
        write_adapter_update(sent / WEIGHTS, new / WEIGHTS, factors, trained.scale, update)
        facts = apply_adapter_update(sent / WEIGHTS, update, rebuilt)
        return _way("adapter", facts.base_sha256, _packed(sent, packages))

    yield make


def _write_base(base: Path, new: Path, folder: Path) -> None:
    """The base as the trainer writes models, and as releases are: weights in float16, the other files as in `new`.

    A base from elsewhere may hold its numbers in float32. They fit float16 wherever it was trained in that.
    """
    folder.mkdir()
    save_checkpoint(load_checkpoint(base), folder)
    for path in new.iterdir():
        if path.name != WEIGHTS:
            shutil.copyfile(path, folder / path.name)


def _packed(folder: Path, packages: FileBlobs) -> BasePackage | None:
    """Where a device that never had the base gets it."""
    try:
        package = pack(folder, packages)
    except ConversionError:
        return None
    return BasePackage(sha256=package.sha256, size_bytes=package.size_bytes)


def _way(kind: str, base_sha256: str, base_package: BasePackage | None) -> ReleaseUpdate:
    return ReleaseUpdate.model_validate(
        {
            "kind": kind,
            "path": WEIGHTS,
            "base_sha256": base_sha256,
            "sha256": "0" * 64,  # known when it is written
            "size_bytes": 1,
            "base_package": base_package,
        }
    )
