"""The samples of a run: which there are, how they are read and looked at, and the dataset that is sealed of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.errors import ConsentError, DataError
from projectone.server.corpus.caps import CapLimits, cap_release
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.clips import read_clip
from projectone.server.corpus.clusters import Clusters
from projectone.server.corpus.datasets import DatasetItem, read_dataset
from projectone.server.corpus.golden_set import GoldenSets
from projectone.server.corpus.review import Checks
from projectone.server.corpus.snapshots import Snapshots
from projectone.server.pipeline.ports import DatasetEntry, Look, PipelineSample, Samples
from projectone.server.training import TrainingConfig
from projectone.server.training.splitting import choose_held_back
from projectone.server.work.copies import CopyFinder
from projectone.server.work.look import Question
from projectone.server.work.looking import Looker
from projectone.server.work.voice_groups import VoiceGroups
from projectone.storage.blobs import BlobStore
from projectone.waveform.wav import parse_wav


def read_samples(catalog: Catalog, blobs: BlobStore, clip_sha256: str) -> Samples:
    """One channel at 16 kHz of a clip; see `read_clip` for what it raises."""
    return parse_wav(read_clip(catalog, blobs, clip_sha256)).samples[:, 0]


class RunSamples:
    """What a run sees of the corpus, in the words of its graph.

    Args:
        catalog: Rows.
        blobs: Clips and datasets.
        clusters: Who became known together.
        golden: Whose clips are set aside before anything else sees them.
        snapshots: Where a dataset is sealed.
        copies: Remembers what clips sound like, while a sample names them.
        looker: Remembers what speaks against clips, while a sample names them.
        training: Says how many are held back.
        holds_personal: Whether personal data in a text waits for a person.
        holds_speakers: Whether a clip that two people seem to speak does.
        voices: Says which strangers are one voice; None if nobody compares voices.
        family: Whose samples.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        blobs: BlobStore,
        clusters: Clusters,
        golden: GoldenSets,
        snapshots: Snapshots,
        copies: CopyFinder,
        looker: Looker,
        training: TrainingConfig,
        holds_personal: bool,
        holds_speakers: bool,
        voices: VoiceGroups | None = None,
        family: Family = DEFAULT_FAMILY,
    ) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._clusters = clusters
        self._golden = golden
        self._snapshots = snapshots
        self._copies = copies
        self._looker = looker
        self._training = training
        self._holds_personal = holds_personal
        self._holds_speakers = holds_speakers
        self._voices = voices
        self._family = family

    def waiting(self) -> list[PipelineSample]:
        """Those of `usable` that no model learned from yet."""
        return [sample for sample in self.usable() if sample.is_new]

    def usable(self) -> list[PipelineSample]:
        """Samples whose consent holds, less those of the golden set; what was erased is forgotten on the way."""
        self._golden.set_aside()
        clusters = self._clusters.of_each()
        samples = [
            PipelineSample(
                sample_id=str(row.sample_id),
                contributor_id=row.contributor_id,
                clip_sha256=row.clip_sha256,
                recording_sha256=row.upload_sha256,
                text=row.text,
                duration_s=row.duration_s,
                recorded_at=row.recorded_at,
                is_new=row.state == "waiting",
                language=row.language,
                heard=row.heard,
                cluster=clusters.get(row.contributor_id),
                accepted=Checks.read(row.checks).accepted,
            )
            for page in self._catalog.usable_pages(family=self._family)
            for row in page
        ]
        self._copies.forget_others([sample.clip_sha256 for sample in samples])
        self._looker.forget_others([sample.clip_sha256 for sample in samples])
        return samples

    def cap(
        self, new: Sequence[PipelineSample], earlier: Sequence[PipelineSample], limits: CapLimits
    ) -> list[PipelineSample]:
        """The new samples that a run may learn from."""
        kept = cap_release(new, earlier, limits)
        if self._voices is None:
            return kept
        return cap_release(new, earlier, limits, self._voices.among(kept, earlier, limits))

    def look(self, samples: Sequence[PipelineSample]) -> Iterator[Look]:
        """What speaks against each of them, in their order; what is sound is not decoded again to look for copies."""
        questions = (
            Question(
                sample.clip_sha256,
                sample.text,
                sample.language,
                sample.heard,
                self._holds_personal,
                wants_fingerprint=True,
                holds_speakers=self._holds_speakers,
            )
            for sample in samples
        )
        givers = (sample.contributor_id for sample in samples)
        for sample, look in zip(samples, self._looker.look_at(questions, givers), strict=True):
            if look.fingerprint is not None:
                self._copies.learn(sample.clip_sha256, look.fingerprint)
            yield look

    def read(self, clip_sha256: str) -> Samples:
        """A clip; see `read_samples`."""
        return read_samples(self._catalog, self._blobs, clip_sha256)

    def heard(self) -> dict[str, str]:
        """What a model wrote where a person corrected it, by sample."""
        pages = self._catalog.usable_pages(family=self._family)
        return {str(row.sample_id): row.heard for page in pages for row in page if row.heard}

    def seal(self, entries: Sequence[DatasetEntry]) -> str:
        """Keep a dataset; gives its digest. Who is held back is decided here, once, and training keeps to it."""
        speakers = [(entry.sample_id, entry.speaker) for entry in entries]
        held_back, kind = choose_held_back(speakers, self._training)
        items = [DatasetItem(**asdict(entry)) for entry in entries]
        items = [replace(item, split="dev") if item.sample_id in held_back else item for item in items]
        return self._snapshots.seal(items, split=kind).manifest.dataset_sha256

    def read_dataset(self, sha256: str) -> list[DatasetEntry]:
        """The entries of a dataset.

        Raises:
            ConsentError: once a withdrawal has erased it.
        """
        try:
            items = read_dataset(self._catalog, self._blobs, sha256)
        except DataError as error:
            raise ConsentError(str(error)) from error
        return [DatasetEntry(**asdict(item)) for item in items]
