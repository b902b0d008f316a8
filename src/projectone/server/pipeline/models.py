"""Model folders under the digest of their weights: immutable, so that a reader never sees one change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from projectone.errors import ArtifactError
from projectone.server.corpus.derived import KEPT_COPIES
from projectone.storage.files import building_directory, digest_of, fsync_folder, sync_tree, write_atomically

WEIGHTS = "model.safetensors"
_ADAPTERS = "runs/*/candidate-*.adapter"
_ADAPTER_FACTS = "adapter.json"


class ModelFolders:
    """`<home>/models/<weights sha256>/`, each in the Hugging Face layout."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path_of(self, weights_sha256: str) -> Path:
        """Where a model lies, whether or not it is there."""
        return self._folder / weights_sha256

    def find(self, weights_sha256: str) -> Path:
        """Where a model lies.

        Raises:
            ArtifactError: if it is not here.
        """
        path = self.known(weights_sha256)
        if path is None:
            raise ArtifactError(f"model {weights_sha256}: expected its folder in {self._folder.name!r}")
        return path

    def known(self, weights_sha256: str) -> Path | None:
        """Where a model lies, if it is here."""
        path = self.path_of(weights_sha256)
        return path if (path / WEIGHTS).is_file() else None

    def adopt(self, folder: Path) -> str:
        """Move a finished folder into the store; gives its name. The same model twice is kept once."""
        digest = digest_of(folder / WEIGHTS)
        target = self.path_of(digest)
        if target.exists():
            shutil.rmtree(folder)
            return digest
        self._folder.mkdir(parents=True, exist_ok=True)
        sync_tree(folder)
        folder.rename(target)
        fsync_folder(self._folder)
        return digest

    def keep_copy(self, folder: Path) -> str:
        """Copy a folder's files into the store, such as the base's; gives its name.

        A mark beside the models says that it was not made here: what is erased with people's samples spares it, even
        where training gave the same weights.

        Raises:
            ArtifactError: if it holds no weights.
        """
        if not (folder / WEIGHTS).is_file():
            raise ArtifactError(f"{folder.name!r}: expected a model folder with {WEIGHTS!r}")
        digest = digest_of(folder / WEIGHTS)
        if not self.path_of(digest).exists():
            with building_directory(self.path_of(digest)) as building:
                for path in sorted(folder.iterdir()):
                    if path.is_file() and not path.name.startswith("."):
                        shutil.copyfile(path, building / path.name)
        mark = self._folder / KEPT_COPIES / digest
        if not mark.exists():
            write_atomically(mark, b"")
        return digest


def find_adapter(home: Path, weights_sha256: str) -> Path | None:
    """Where training left the adapter that makes a model of its base; None if there is none.

    It lies in the run's folder, and goes with it when a sample that the model had learned from is withdrawn.
    """
    for folder in sorted(home.glob(_ADAPTERS)):
        try:
            facts = json.loads((folder / _ADAPTER_FACTS).read_bytes())
        except (OSError, ValueError):  # half removed
            continue
        if isinstance(facts, dict) and facts.get("model_sha256") == weights_sha256:
            return folder
    return None
