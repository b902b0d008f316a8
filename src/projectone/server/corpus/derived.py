"""What was made from samples and lies outside the blob store: checkpoints, candidates, models, quarantined models."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

from projectone.errors import StorageError
from projectone.server.corpus.catalog import Catalog
from projectone.server.runs import RunRow, Runs
from projectone.storage.files import TEMPORARY_PREFIX, write_atomically

KEPT_COPIES = ".copied"
"""In the model store: one empty file for each model that was copied there and not trained here."""

_DIGEST_CHARACTERS = 16  # of a dataset, in the names of what a run makes from it
_ERASED_NOTE = "model-erased.json"


class Derived:
    """Finds what runs made from withdrawn samples by the datasets that named them, and removes it.

    Args:
        home: The server's home.
        catalog: Knows which datasets name an erased sample.
        runs: Know which model came of which dataset.
        released: Digests of the models that devices may already have; those stay.
    """

    def __init__(self, home: Path, catalog: Catalog, runs: Runs, released: Callable[[], Collection[str]]) -> None:
        self._home = home
        self._catalog = catalog
        self._runs = runs
        self._released = released

    def erase(self) -> list[str]:
        """Remove it; gives what was removed, relative to the home. Safe to repeat, and to call from several processes.

        A run that is at work is left to its worker, which looks itself and calls this when the run has ended.

        Raises:
            StorageError: if something could not be removed.
        """
        withdrawn = self._catalog.withdrawn_datasets()
        if not withdrawn:
            return []
        # In this order: a run that ends in between is then left to its worker's own call.
        active = {run.run_id for run in self._runs.active()}
        ended = [run for run in self._runs.made_from(withdrawn) if run.run_id not in active]
        models = {run.candidate_sha256 for run in ended if run.candidate_sha256 is not None}
        removed = []
        for path in self._of_runs({sha256[:_DIGEST_CHARACTERS] for sha256 in withdrawn}, active):
            if path.suffix == ".json":  # beside the checkpoints: which weights came of them
                with suppress(FileNotFoundError):  # another process was here first, and knows
                    models.add(path.read_text().strip())
            removed += self._remove(path)
        for run in ended:
            removed += self._empty_quarantine(run)
        released = self._released()
        for sha256 in sorted(models):
            store = self._home / "models"
            if sha256 in released or (store / KEPT_COPIES / sha256).exists():
                continue
            for path in (store / sha256, *(self._home / "evaluations").glob(f"*/{sha256}*.json")):
                removed += self._remove(path)
        return removed

    def _of_runs(self, digests: Collection[str], active: Collection[str]) -> Iterator[Path]:
        """What lies in the folders of ended runs under a dataset's name."""
        for kind in ("training", "candidate"):
            # Under a temporary name too: a worker that was killed while it saved leaves weights there.
            found = [(self._home / "runs").glob(f"*/{prefix}{kind}-*") for prefix in ("", TEMPORARY_PREFIX)]
            for path in sorted(itertools.chain(*found)):
                name = path.name.removeprefix(TEMPORARY_PREFIX).removeprefix(f"{kind}-")
                if name[:_DIGEST_CHARACTERS] in digests and path.parent.name not in active:
                    yield path

    def _empty_quarantine(self, run: RunRow) -> list[str]:
        folder = self._home / "quarantine" / run.run_id
        removed = self._remove(folder / "model")
        if removed:
            note = {"erased": "model", "because": "a sample that it had learned from was withdrawn"}
            write_atomically(folder / _ERASED_NOTE, json.dumps(note).encode() + b"\n")
        return removed

    def _remove(self, path: Path) -> list[str]:
        if not path.exists():
            return []
        # Another process may be at the same: what is gone is gone.
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):  # told below
                path.unlink(missing_ok=True)
        name = path.relative_to(self._home).as_posix()
        if path.exists():
            raise StorageError(f"{name}: could not be removed, and holds what was made from a withdrawn sample")
        return [name]
