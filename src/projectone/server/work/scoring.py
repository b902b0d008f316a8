"""Scores of models on the golden set, each computed once and kept: production is judged again by every run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from projectone import __version__
from projectone.contracts.scores import EvaluationReport
from projectone.errors import ContractError, DataError, EvaluationError
from projectone.server.corpus.manifests import read_manifest
from projectone.server.evaluation.golden import GoldenClip, GoldenSet, Samples, golden_set, load_golden
from projectone.server.evaluation.scorer import examine_model
from projectone.server.pipeline.models import ModelFolders
from projectone.server.work.clips import open_decoder
from projectone.storage.files import write_atomically

# Rises when reports hold more, or count otherwise: a gate does not judge by what is missing in an older one.
_REVISION = 3


class SealedClips(Protocol):
    """The clips of a sealed golden set; `server.work.golden.SealedGolden` gives them."""

    def names(self) -> tuple[str, ...]:
        """What the clips are called: another tuple once one of them has gone, or another version is sealed."""
        ...

    def clips(self) -> Sequence[GoldenClip]:
        """The clips, read now."""
        ...


class Scores:
    """Reports by model and golden set.

    Args:
        folder: Where reports are kept.
        models: Where models lie.
        golden_manifest: The set's manifest, or None if no set is configured.
        sealed: Clips of the set that people sent for this purpose, and their names, which tell whether they are still
            the same; None if there is no such set.
        is_secret: Whether reports stay out of the folder: they hold what a model heard in each clip.
    """

    def __init__(
        self,
        folder: Path,
        models: ModelFolders,
        golden_manifest: Path | None,
        sealed: SealedClips | None = None,
        *,
        is_secret: bool = False,
    ) -> None:
        self._folder = folder
        self._models = models
        self._manifest = golden_manifest
        self._sealed = sealed
        self._is_secret = is_secret
        self._names: tuple[str, ...] = ()
        self._golden: GoldenSet | None = None

    @property
    def has_set(self) -> bool:
        """Whether there is anything to judge by."""
        return self._manifest is not None or (self._sealed is not None and bool(self._sealed.names()))

    def golden(self) -> GoldenSet:
        """The golden set, decoded once.

        Raises:
            EvaluationError: if there is none, or it cannot be read.
        """
        names = () if self._sealed is None else self._sealed.names()
        if self._golden is None or names != self._names:  # a withdrawal, or a new version
            if not self.has_set:
                raise EvaluationError(
                    "golden set: none is configured; set PROJECTONE_SERVER_GOLDEN to its manifest, or seal one "
                    "(`projectone-server golden`)"
                )
            try:
                self._golden = golden_set([*self._manifest_clips(), *(self._sealed.clips() if self._sealed else ())])
            except DataError as error:
                raise EvaluationError(f"golden set: {error}") from error
            self._names = names
        return self._golden

    def _manifest_clips(self) -> tuple[GoldenClip, ...]:
        if self._manifest is None:
            return ()
        with open_decoder() as decode:
            return load_golden(read_manifest(self._manifest), decode).clips

    def clip_digests(self) -> frozenset[str]:
        """Recordings that must not be trained on; none where no set is configured."""
        return frozenset(clip.key for clip in self.golden().clips) if self.has_set else frozenset()

    def recordings(self) -> list[Samples]:
        """The recordings themselves, one channel at 16 kHz each; none where no set is configured."""
        return [clip.samples for clip in self.golden().clips] if self.has_set else []

    def speakers(self) -> frozenset[str]:
        """Who speaks in them; nobody where no set is configured."""
        return frozenset(clip.speaker for clip in self.golden().clips) if self.has_set else frozenset()

    def score(self, weights_sha256: str, on_progress: Callable[[int, int], None]) -> EvaluationReport:
        """The report of one model.

        Raises:
            EvaluationError: if there is no golden set.
            ArtifactError: if the model is not here.
        """
        return self.remembered(
            weights_sha256,
            lambda golden: examine_model(self._models.find(weights_sha256), golden, on_progress=on_progress),
        )

    def remembered(self, name: str, measure: Callable[[GoldenSet], EvaluationReport]) -> EvaluationReport:
        """A report on today's set: the one that is kept under `name`, or a new one.

        Raises:
            EvaluationError: if there is no golden set.
        """
        golden = self.golden()
        return self.kept(name, golden.sha256, lambda: measure(golden))

    def kept(self, name: str, set_sha256: str, measure: Callable[[], EvaluationReport]) -> EvaluationReport:
        """A report on one set: the one that is kept under `name`, or a new one."""
        # Another release of this code may count differently: its reports are not compared with ours.
        path = self._folder / f"{set_sha256[:16]}-{__version__}-{_REVISION}" / f"{name}.json"
        if path.is_file() and not self._is_secret:
            try:
                return EvaluationReport.from_bytes(path.read_bytes())
            except ContractError:
                path.unlink()
        report = measure()
        if not self._is_secret:
            write_atomically(path, report.to_bytes())
        return report
