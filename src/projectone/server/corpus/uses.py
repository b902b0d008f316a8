"""Which released models learned from a sample: answered with a proof for each, as rows and snapshots have it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from projectone.contracts.releases import ReleaseManifest
from projectone.contracts.snapshots import MembershipProof
from projectone.contracts.uses import ModelUse, SampleUses
from projectone.server.corpus.snapshot_proofs import prove
from projectone.server.corpus.snapshots import Snapshots
from projectone.server.runs import Runs

_NEWEST = 10
"""Of so many releases an answer speaks: each takes the leaves of its dataset, a tenth of a second for 50,000."""


class Uses:
    """Answers what became of a sample in models.

    Every model is trained from the same base on the dataset of its own run: that is all that it learned from.

    Args:
        runs: Know which run learned from which dataset.
        snapshots: Give the leaves of each dataset.
        releases: Every release, oldest first: the run that made it, and its manifest.
        clock: Now, with its zone.
    """

    def __init__(
        self,
        runs: Runs,
        snapshots: Snapshots,
        *,
        releases: Callable[[], Sequence[tuple[str, ReleaseManifest]]],
        clock: Callable[[], datetime],
    ) -> None:
        self._runs = runs
        self._snapshots = snapshots
        self._releases = releases
        self._clock = clock

    def of(self, sample_id: UUID) -> SampleUses:
        """What the newest releases learned from a sample. Whose it is is for the caller to ask."""
        releases = self._releases()
        datasets = self._datasets(releases)
        proofs: dict[str, MembershipProof | None] = {}
        models = []
        for _, manifest in reversed(releases[-_NEWEST:]):
            dataset = datasets.get(manifest.weights_sha256)
            if dataset is not None and dataset not in proofs:
                proofs[dataset] = self._proof(dataset, sample_id)
            proof = None if dataset is None else proofs[dataset]
            models.append(
                ModelUse(
                    channel=manifest.channel,
                    version=manifest.version,
                    weights_sha256=manifest.weights_sha256,
                    released_at=manifest.created_at,
                    proof=proof,
                    snapshot_missing=dataset is not None and proof is None,
                )
            )
        return SampleUses(sample_id=sample_id, issued_at=self._clock(), models=tuple(models), n_releases=len(releases))

    def _datasets(self, releases: Sequence[tuple[str, ReleaseManifest]]) -> dict[str, str]:
        """By the digest of a model the dataset that it was trained on; a release may hand an earlier one out again."""
        by_run = self._runs.datasets([run_id for run_id, _ in releases])
        return {manifest.weights_sha256: by_run[run_id] for run_id, manifest in releases if run_id in by_run}

    def _proof(self, dataset_sha256: str, sample_id: UUID) -> MembershipProof | None:
        # The first one: what was re-issued later, without what was withdrawn, is not what the model learned from.
        snapshot = self._snapshots.first_of(dataset_sha256)
        return None if snapshot is None else prove(snapshot, sample_id, {})
