"""A planned batch to arrays: sound varied, spectrograms padded, targets chosen. A function of (seed, step) alone."""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx

from projectone.server.training.augmentation import mask_mel, vary_samples
from projectone.server.training.batching import FRAME_MULTIPLE, PlannedBatch, stream
from projectone.server.training.config import TrainingConfig
from projectone.server.training.examples import Example, ExampleBuilder, Mel, padded_mel, stack_mels
from projectone.server.training.loss import Batch, Target, collate_targets

_VARY = 2  # which stream of random numbers
_MAX_CACHED_S = 3600.0  # an hour of 80 bands is 115 MB


class BatchMaker:
    """Makes the batch of any step, and remembers the spectrograms of clips that are used unvaried."""

    def __init__(self, builder: ExampleBuilder, examples: Sequence[Example], config: TrainingConfig) -> None:
        self._builder = builder
        self._checkpoint = builder.checkpoint
        self._examples = examples
        self._config = config
        self._mels: dict[int, tuple[Mel, float]] = {}
        self._cached_s = 0.0
        self._max_samples = builder.checkpoint.features.n_samples

    def make(self, step: int, planned: PlannedBatch, *, is_varied: bool = True) -> Batch:
        """The arrays of one step.

        Args:
            step: Number of the step in the run: with the seed it decides all that is random.
            planned: Which examples.
            is_varied: Whether to augment and to mix in timestamps; off for measuring a loss.
        """
        config = self._config
        mels: list[tuple[Mel, float]] = []
        targets: list[Target] = []
        for position, index in enumerate(planned.indices):
            random = stream(config.seed, _VARY, step, position)
            example = self._examples[index]
            is_plain = not is_varied or random.random() >= config.augmentation.probability
            if is_plain:
                mels.append(self._plain_mel(index))
                n_samples = example.clip.samples.size
            else:
                samples = vary_samples(example.clip.samples, config.augmentation, random, self._max_samples)
                mel, floor = padded_mel(samples, n_mels=self._checkpoint.dims.n_mels)
                mels.append((mask_mel(mel, config.augmentation, random), floor))
                n_samples = samples.size
            is_timed = is_varied and random.random() < config.timestamps_share
            timed = self._builder.timed_target(example, n_samples) if is_timed else None
            targets.append(timed or self._builder.plain_target(example))
        return self._collate(planned, mels, targets)

    def _collate(self, planned: PlannedBatch, mels: list[tuple[Mel, float]], targets: list[Target]) -> Batch:
        window = self._checkpoint.features.n_frames
        longest = max(mel.shape[0] for mel, _ in mels)
        n_frames = min(window, -(-max(longest, planned.min_frames) // FRAME_MULTIPLE) * FRAME_MULTIPLE)
        tokens, rows, columns, wanted = collate_targets(targets, pad=self._checkpoint.tokenizer.eot)
        return Batch(
            mel=mx.array(stack_mels(mels, n_frames)),
            tokens=mx.array(tokens),
            rows=mx.array(rows),
            columns=mx.array(columns),
            targets=mx.array(wanted),
            audio_s=sum(self._examples[index].clip.duration_s for index in planned.indices),
        )

    def _plain_mel(self, index: int) -> tuple[Mel, float]:
        if index not in self._mels:
            clip = self._examples[index].clip
            made = padded_mel(clip.samples, n_mels=self._checkpoint.dims.n_mels)
            if self._cached_s + clip.duration_s > _MAX_CACHED_S:
                return made
            self._cached_s += clip.duration_s
            self._mels[index] = made
        return self._mels[index]
