"""The training of a run: its dataset, replayed speech and spoken words become the clips that a model learns from."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from projectone.server.corpus.manifests import read_manifest
from projectone.server.pipeline.models import ModelFolders
from projectone.server.pipeline.ports import DatasetEntry, Progress, TrainingRequest
from projectone.server.training import TrainingClip, TrainingConfig, TrainingProgress, finetune
from projectone.server.training.carriers import Correction
from projectone.server.training.engines.run import LOG_NAME
from projectone.server.training.fingerprint import fingerprint_of
from projectone.server.work.carriers import carriers_for
from projectone.server.work.clips import open_decoder, training_clips
from projectone.server.work.samples import RunSamples


class Teacher:
    """Trains what a run asks for.

    Args:
        samples: Where clips come from.
        models: Where the base lies.
        config: How to train.
        replay: Manifest of general speech that is mixed in; None if there is none.
    """

    def __init__(self, samples: RunSamples, models: ModelFolders, config: TrainingConfig, replay: Path | None) -> None:
        self._samples = samples
        self._models = models
        self._config = config
        self._replay = replay

    def train(self, request: TrainingRequest) -> str:
        """Train, or go on; gives the digest of the candidate's weights."""
        config = self._config
        clips, dev_clips = (self._clips(request.entries, split) for split in ("train", "dev"))
        replay_clips, carriers = self._replay_clips(), carriers_for(self._corrections(request.entries), config)
        # Settings, base and defaults may change while a run waits for its worker. Its samples are not to blame: it
        # begins again, in a folder of these settings, instead of taking up what the others left.
        lists = (clips, dev_clips, replay_clips, carriers)
        work_folder = request.work_folder / fingerprint_of(request.base_sha256, lists, config)[:16]
        if not work_folder.exists():
            shutil.rmtree(request.out, ignore_errors=True)
        try:
            result = finetune(
                self._models.find(request.base_sha256),
                clips,
                config,
                work_folder=work_folder,
                out=request.out,
                on_progress=lambda progress: request.on_progress(_describe(progress)),
                dev_clips=dev_clips,
                replay_clips=replay_clips,
                carrier_clips=carriers,
            )
        finally:
            with suppress(FileNotFoundError):
                shutil.copyfile(work_folder / LOG_NAME, request.log_path)
        return result.weights_sha256

    def held_back(self, request: TrainingRequest) -> list[TrainingClip]:
        """The samples of a request that nothing is learned from."""
        return self._clips(request.entries, "dev")

    def _clips(self, entries: Sequence[DatasetEntry], split: str) -> list[TrainingClip]:
        return [
            TrainingClip(
                clip_id=entry.sample_id,
                samples=self._samples.read(entry.clip_sha256),
                text=entry.text,
                speaker=entry.speaker,
            )
            for entry in entries
            if entry.split == split
        ]

    def _corrections(self, entries: Sequence[DatasetEntry]) -> list[Correction]:
        """What was heard and said in the samples of a run, in its order: no word of anybody else's."""
        heard = self._samples.heard()
        return [Correction(heard[e.sample_id], e.text) for e in entries if e.sample_id in heard]

    def _replay_clips(self) -> list[TrainingClip]:
        if self._replay is None:
            return []
        with open_decoder() as decode:
            return training_clips(read_manifest(self._replay), decode)


def _describe(progress: TrainingProgress) -> Progress:
    parts = [f"{progress.phase} {progress.step}/{progress.n_steps}", f"epoch {progress.epoch}/{progress.n_epochs}"]
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.3f}")
    if progress.dev_wer is not None:
        parts.append(f"dev WER {progress.dev_wer:.1%}")
    if progress.eta_s is not None:
        parts.append(f"{progress.eta_s:.0f} s left")
    return Progress(step=progress.step, total=progress.n_steps, loss=progress.loss, message=", ".join(parts))
