"""`projectone-server corpus export` and `corpus exports`: copies of a snapshot for other tools, and where they went."""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from projectone.contracts.texts import printable
from projectone.errors import ConsentError, DataError, RegistryError, SettingsError, TransportError
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.clips import read_clip
from projectone.server.corpus.datasets import DatasetItem
from projectone.server.corpus.export import EXPORT_FORMATS, TEXTS, ExportFormat, write_export
from projectone.server.corpus.exports import Export, Exports
from projectone.server.corpus.snapshots import Snapshot
from projectone.server.corpus.statistics import family_of
from projectone.server.database import Engine
from projectone.server.delivery.signing import load_signer
from projectone.server.home import open_catalog
from projectone.server.registry.datasets import DatasetHub
from projectone.server.runs import Runs
from projectone.server.settings import ServerSettings
from projectone.server.work.quarantine import user_name
from projectone.server.work.snapshots import items_of, open_snapshots, run_of
from projectone.storage.blobs import FileBlobs
from projectone.storage.files import building_directory

EXAMPLES = """\
  projectone-server corpus export 3f9a --out speech                     audiofolder: datasets.load_dataset("speech")
  projectone-server corpus export 3f9a --out speech --format parquet    needs the extra `export`
  projectone-server corpus export 3f9a --push acme/speech               to a private dataset repository on the Hub
  projectone-server corpus exports                                      copies that left; 1 if one holds withdrawn ones
  projectone-server corpus exports --deleted 5b0e...                    note that a copy is gone"""

ACTIONS = ("export", "exports")
EXIT_CLEAN, EXIT_WITHDRAWN = 0, 1
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def add_arguments(actions: Any) -> list[argparse.ArgumentParser]:  # noqa: ANN401 - argparse's own action has no public name
    """Declare `export` and `exports`."""
    exporting = actions.add_parser("export", help="copy a snapshot out of the vault, on the record")
    exporting.add_argument("snapshot", metavar="ID", help="id of the snapshot or of its dataset, or its beginning")
    where = exporting.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, metavar="DIR", help="folder to make")
    where.add_argument("--push", metavar="OWNER/NAME", help="private dataset repository on the configured Hub")
    exporting.add_argument(
        "--format", choices=(*EXPORT_FORMATS, TEXTS), help="default audiofolder; corrected intents are texts"
    )
    listing = actions.add_parser("exports", help="copies that left, and what was withdrawn from each since")
    listing.add_argument("--deleted", metavar="ID", help="note that this copy is gone; its id or the beginning of it")
    return [exporting, listing]


def execute(
    arguments: argparse.Namespace, settings: ServerSettings, engine: Engine, blobs: FileBlobs
) -> tuple[int, dict[str, Any], str]:
    """Export, or list the exports; gives the exit code, the facts, and the same as a text."""
    exports = Exports(engine)
    if arguments.action == "export":
        return _export(arguments, settings, engine, blobs, exports)
    if arguments.deleted is not None:
        exports.deleted(_named(arguments.deleted, exports), datetime.now(UTC), by=user_name())
    listed = exports.listed()
    holding = [export for export in listed if export.withdrawn and export.deleted_at is None]
    text = "\n".join(map(_line, listed)) or "nothing was exported"
    if holding:
        text += (
            f"\n{len(holding)} copies hold samples that were withdrawn: delete those ids there (--json lists them), "
            "or the copy; then `corpus exports --deleted ID`"
        )
    return EXIT_WITHDRAWN if holding else EXIT_CLEAN, {"exports": [_plain(export) for export in listed]}, text


def _named(beginning: str, exports: Exports) -> UUID:
    found = [export.export_id for export in exports.listed() if str(export.export_id).startswith(beginning.lower())]
    if len(found) != 1 or not beginning:
        n = "none" if not found else "several"
        raise DataError("export-unknown", f"export {beginning!r}: expected the beginning of one id, found {n}")
    return found[0]


def _export(
    arguments: argparse.Namespace, settings: ServerSettings, engine: Engine, blobs: FileBlobs, exports: Exports
) -> tuple[int, dict[str, Any], str]:
    catalog = open_catalog(settings, engine)
    signer = load_signer(settings.keys_folder / "release.key")
    snapshots = open_snapshots(engine, catalog, blobs, signer)
    snapshot = snapshots.find(arguments.snapshot)
    run = run_of(snapshot, snapshots, Runs(engine))
    items = items_of(snapshot, catalog, blobs)
    if not items:
        raise DataError("snapshot-empty", f"snapshot {snapshot.snapshot_id[:12]}: nobody is left in it")
    if arguments.out is not None and arguments.out.exists():
        raise SettingsError(f"--out: expected a folder to make, {str(arguments.out)!r} exists")
    if arguments.push is not None and not _REPOSITORY.fullmatch(arguments.push):
        raise SettingsError(f"--push: expected OWNER/NAME, such as acme/speech, got {arguments.push!r}")
    layout = _layout(arguments.format, items, catalog)
    destination = arguments.push or str(arguments.out.resolve())

    def begin() -> UUID:
        """Once the copy is whole and before it can be seen: what never left is on no record, what left always is."""
        return exports.begin(
            snapshot_id=snapshot.snapshot_id,
            dataset_sha256=snapshot.manifest.dataset_sha256,
            kind=layout,
            destination=destination,
            n_samples=len(items),
            now=datetime.now(UTC),
            by=user_name(),
        )

    if arguments.push is None:
        with building_directory(arguments.out) as folder:
            folder.chmod(0o700)  # voices and sentences: nobody else's business
            _write(snapshot, items, catalog, blobs, folder, layout)
            export_id = begin()
    else:
        with tempfile.TemporaryDirectory(dir=settings.home) as folder_name:
            folder = Path(folder_name)
            _write(snapshot, items, catalog, blobs, folder, layout)
            export_id = begin()
            destination = f"{arguments.push}@{_push(settings, arguments.push, folder, export_id)}"
        exports.locate(export_id, destination)
    facts = {
        "export_id": str(export_id),
        "snapshot_id": snapshot.snapshot_id,
        "format": layout,
        "destination": destination,
        "n_samples": len(items),
        "run_state": None if run is None else run.state,
    }
    told = (
        f"{len(items)} samples exported to {destination}\n"
        f"this copy left the vault: it is on record as {export_id}, and `corpus exports` says what to delete from it "
        "when somebody withdraws"
    )
    if run is not None and run.state == "quarantined":
        told += (
            f"\nthe run that sealed it was QUARANTINED ({printable(run.reason or 'no reason')}): look at "
            f"`projectone-server quarantine show {run.run_id}` before anything learns from this copy"
        )
    return EXIT_CLEAN, facts, told


def _layout(wanted: ExportFormat | None, items: Sequence[DatasetItem], catalog: Catalog) -> ExportFormat:
    rows = {str(row.sample_id): row for row in catalog.living()}
    known = [item for item in items if item.sample_id in rows]
    layouts = (TEXTS,) if family_of(known, rows) == "intents" else EXPORT_FORMATS
    if wanted is not None and wanted not in layouts:
        raise SettingsError(f"--format: expected {' or '.join(layouts)} for this snapshot, got {wanted!r}")
    return wanted or layouts[0]


def _push(settings: ServerSettings, repo_id: str, folder: Path, export_id: UUID) -> str:
    try:
        return DatasetHub(settings.hub_endpoint, settings.hub_token or None, repo_id).push(
            folder, export_id=str(export_id)
        )
    except (RegistryError, TransportError) as error:
        raise RegistryError(
            f"{error}; the copy stays on record, in case some of it arrived; if nothing did: "
            f"`projectone-server corpus exports --deleted {export_id}`"
        ) from error


def _write(
    snapshot: Snapshot,
    items: Sequence[DatasetItem],
    catalog: Catalog,
    blobs: FileBlobs,
    folder: Path,
    kind: ExportFormat,
) -> None:
    rows = {str(row.sample_id): row for row in catalog.living()}
    if any(item.sample_id not in rows for item in items):
        raise ConsentError("a sample of the snapshot was withdrawn just now; export its re-issue")
    write_export(snapshot, items, rows, partial(read_clip, catalog, blobs), folder, kind=kind)
    if catalog.is_withdrawn(snapshot.manifest.dataset_sha256):
        raise ConsentError("a sample of the snapshot was withdrawn while it was written; export its re-issue")


def _plain(export: Export) -> dict[str, Any]:
    return {
        "export_id": str(export.export_id),
        "made_at": export.made_at.isoformat(),
        "snapshot_id": export.snapshot_id,
        "format": export.format,
        "destination": export.destination,
        "n_samples": export.n_samples,
        "deleted_at": None if export.deleted_at is None else export.deleted_at.isoformat(),
        "withdrawn": list(export.withdrawn),
    }


def _line(export: Export) -> str:
    state = "gone" if export.deleted_at is not None else f"{len(export.withdrawn)} withdrawn"
    what = f"{export.n_samples} samples, {export.format}"
    return f"{export.export_id}  {export.made_at:%Y-%m-%d %H:%M}  {what:28}  {state:14}  {export.destination}"
