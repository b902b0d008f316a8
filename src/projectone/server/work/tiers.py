"""Makes, keeps and scores a model's packages for the device tiers."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from projectone.contracts.scores import EvaluationReport
from projectone.errors import ArtifactError
from projectone.server.conversion.package import pack
from projectone.server.conversion.tiers import computed_with, refuse_other_words, write_tier
from projectone.server.delivery.ledger import Ledger
from projectone.server.evaluation.gate import GateConfig, judge
from projectone.server.evaluation.golden import GoldenSet
from projectone.server.evaluation.scorer import examine_model
from projectone.server.pipeline.models import ModelFolders
from projectone.server.pipeline.tier_ports import TierModel, TierPorts
from projectone.server.work.scoring import Scores
from projectone.storage.blobs import FileBlobs
from projectone.storage.files import TEMPORARY_PREFIX

_N_THROUGH_PACKAGES = 3  # clips: in numpy each takes seconds
OnProgress = Callable[[str, int, int], None]


class TierShop:
    """The tiers beside the default one.

    Args:
        names: Which of them releases have.
        models: Where models lie.
        packages: Where packages lie.
        scores: Scores on the golden set, remembered.
        ledger: What was released.
        channel: To whom.
        gate: What is asked of a package.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        models: ModelFolders,
        packages: FileBlobs,
        scores: Scores,
        ledger: Ledger,
        channel: str,
        gate: GateConfig,
    ) -> None:
        self._names = tuple(names)
        self._models = models
        self._packages = packages
        self._scores = scores
        self._ledger = ledger
        self._channel = channel
        self._gate = gate

    def ports(self, on_progress: OnProgress) -> TierPorts | None:
        """What the graph needs of this; None where there is no further tier.

        Args:
            on_progress: Told the tier that is scored, and how many clips of how many are done.
        """
        if not self._names:
            return None
        return TierPorts(
            names=self._names,
            package=self.package,
            score=lambda model: self.score(model, lambda done, n_clips: on_progress(model.tier, done, n_clips)),
            released=self.released,
            judge=lambda before, packed, own: judge(before, packed, self._gate, unpacked=own),
            drop=self.drop,
        )

    def package(self, weights_sha256: str, tier: str) -> dict[str, Any]:
        """A model in the form of a tier, as one file that is proved to hold it.

        Raises:
            ConversionError: if it cannot be made.
        """
        self._packages.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=self._packages.folder) as temporary:
            folder = Path(temporary) / tier
            folder.mkdir()
            write_tier(self._models.find(weights_sha256), tier, folder)
            package = pack(folder, self._packages)
        return {
            "sha256": package.sha256,
            "size_bytes": package.size_bytes,
            "files": [file.model_dump(mode="json") for file in package.files],
            "updates": [],
        }

    def score(self, model: TierModel, on_progress: Callable[[int, int], None]) -> EvaluationReport:
        """What is in the package, unpacked as a device unpacks it, over the golden set.

        Raises:
            ArtifactError: if the package is not here, or holds no model.
            ConversionError: if it holds other numbers than a model's.
        """
        # Under the model's name, so that erasing the model finds it.
        name = f"{model.weights_sha256}.{model.tier}-{model.package_sha256[:16]}"

        def measure(golden: GoldenSet) -> EvaluationReport:
            path = self._packages.path_of(model.package_sha256)
            if not path.is_file():
                raise ArtifactError(f"package {model.package_sha256}: expected it in {self._packages.folder.name!r}")
            with tempfile.TemporaryDirectory() as temporary:
                with zipfile.ZipFile(path) as archive:
                    archive.extractall(temporary)  # of our own making: `pack` lets no odd name in
                sample = [clip.samples for clip in golden.clips if clip.text.strip()][:_N_THROUGH_PACKAGES]
                refuse_other_words(Path(temporary), model.tier, sample)
                with computed_with(Path(temporary), model.tier) as folder:
                    report = examine_model(folder, golden, on_progress=on_progress)
            return report.model_copy(update={"model_sha256": model.package_sha256, "numerics": model.tier})

        return self._scores.remembered(name, measure)

    def released(self, tier: str) -> TierModel | None:
        """What the devices of a tier have now: the newest release that has it, unless that was retired since."""
        releases = self._ledger.releases(self._channel)
        for release in reversed(releases):
            manifest = release.tiers.get(tier)
            if manifest is not None and manifest.seq >= releases[-1].manifest.min_seq:
                return TierModel(tier, manifest.weights_sha256, manifest.package_sha256)
        return None

    def drop(self, package_sha256: str) -> None:
        """Remove a package that no release has."""
        if not any(package_sha256 in release.contents for release in self._ledger.releases()):
            self._packages.delete(package_sha256)
