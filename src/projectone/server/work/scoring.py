"""Scores of models on the golden set, each computed once and kept: production is judged again by every run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from projectone import __version__
from projectone.contracts.scores import EvaluationReport
from projectone.errors import ContractError, DataError, EvaluationError
from projectone.server.corpus.manifests import read_manifest
from projectone.server.evaluation.golden import GoldenSet, load_golden
from projectone.server.evaluation.scorer import score_model
from projectone.server.pipeline.models import ModelFolders
from projectone.server.work.clips import open_decoder
from projectone.storage.files import write_atomically


class Scores:
    """Reports by model and golden set.

    Args:
        folder: Where reports are kept.
        models: Where models lie.
        golden_manifest: The set's manifest, or None if no set is configured.
    """

    def __init__(self, folder: Path, models: ModelFolders, golden_manifest: Path | None) -> None:
        self._folder = folder
        self._models = models
        self._manifest = golden_manifest
        self._golden: GoldenSet | None = None

    def golden(self) -> GoldenSet:
        """The golden set, decoded once.

        Raises:
            EvaluationError: if there is none, or it cannot be read.
        """
        if self._golden is None:
            if self._manifest is None:
                raise EvaluationError("golden set: none is configured; set PROJECTONE_SERVER_GOLDEN to its manifest")
            try:
                with open_decoder() as decode:
                    self._golden = load_golden(read_manifest(self._manifest), decode)
            except DataError as error:
                raise EvaluationError(f"golden set: {error}") from error
        return self._golden

    def clip_digests(self) -> frozenset[str]:
        """Recordings that must not be trained on; none where no set is configured."""
        return frozenset(clip.sha256 for clip in self.golden().clips) if self._manifest is not None else frozenset()

    def score(self, weights_sha256: str, on_progress: Callable[[int, int], None]) -> EvaluationReport:
        """The report of one model.

        Raises:
            EvaluationError: if there is no golden set.
            ArtifactError: if the model is not here.
        """
        golden = self.golden()
        # Another release of this code may count differently: its reports are not compared with ours.
        path = self._folder / f"{golden.sha256[:16]}-{__version__}" / f"{weights_sha256}.json"
        if path.is_file():
            try:
                return EvaluationReport.from_bytes(path.read_bytes())
            except ContractError:
                path.unlink()
        report = score_model(self._models.find(weights_sha256), golden, on_progress=on_progress)
        write_atomically(path, report.to_bytes())
        return report
