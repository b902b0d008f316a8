"""A planned batch to arrays: sound varied, spectrograms padded, targets chosen. A function of (seed, step) alone."""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx
import numpy as np

from projectone.server.training.augmentation import mask_mel, vary_samples
from projectone.server.training.batching import FRAME_MULTIPLE, PlannedBatch, stream
from projectone.server.training.config import TrainingConfig
from projectone.server.training.examples import Example, ExampleBuilder, Mel, padded_mel, stack_mels
from projectone.server.training.loss import Batch, Target, collate_targets, filled_up
from projectone.server.training.packing import room_for, starts_of
from projectone.server.training.targets import Spoken, TargetBuilder
from projectone.speech.audio import HOP_LENGTH, SAMPLE_RATE

_VARY = 2  # which stream of random numbers
_PACKED = 3
_PROMPTED = 4
_MAX_CACHED_S = 3600.0  # an hour of 80 bands is 115 MB
# Elsewhere than on a CPU every new shape costs memory and kernels of its own; on a CPU only filling up costs anything.
_TOKEN_MULTIPLE_OFF_CPU = 16


class BatchMaker:
    """Makes the batch of any step, and remembers the spectrograms of clips that are used unvaried.

    Args:
        builder: Of the model.
        examples: What the plan's indices mean.
        config: Shares, augmentation and seed.
        marks_speech: See `TargetBuilder`.
    """

    def __init__(
        self,
        builder: ExampleBuilder,
        examples: Sequence[Example],
        config: TrainingConfig,
        *,
        marks_speech: bool = False,
    ) -> None:
        self._checkpoint = builder.checkpoint
        self._examples = examples
        self._config = config
        self._targets = TargetBuilder(self._checkpoint, language=builder.language, marks_speech=marks_speech)
        self._prompt_share = config.prompt_share_for(self._checkpoint.dims.n_vocab)
        off_cpu = mx.default_device().type != mx.cpu
        self._token_multiple = config.token_multiple or (_TOKEN_MULTIPLE_OFF_CPU if off_cpu else 1)
        self._mels: dict[int, tuple[Mel, float]] = {}
        self._cached_s = 0.0
        self._max_samples = builder.checkpoint.features.n_samples

    def make(self, step: int, planned: PlannedBatch, *, is_varied: bool = True) -> Batch:
        """The arrays of one step.

        Args:
            step: Number of the step in the run: with the seed it decides all that is random.
            planned: Which examples.
            is_varied: Whether to augment and to mix in timestamps and prompts; off for measuring a loss.
        """
        mels: list[tuple[Mel, float]] = []
        targets: list[Target] = []
        for position, row in enumerate(planned.rows()):
            make = self._single if len(row) == 1 else self._packed
            mel, spoken, timed = make(step, position, row, planned.min_frames, is_varied)
            mels.append(mel)
            previous = self._previous(step, position, row[0]) if is_varied else ()
            targets.append(self._targets.window(spoken, timed=timed, previous=previous))
        return self._collate(planned, mels, targets, self._token_multiple if is_varied else 1)

    def _single(
        self, step: int, position: int, row: tuple[int, ...], min_frames: int, is_varied: bool
    ) -> tuple[tuple[Mel, float], list[Spoken], bool]:
        """A clip that begins its window; the spectrogram ends with the clip."""
        config = self._config
        random = stream(config.seed, _VARY, step, position)
        example = self._examples[row[0]]
        if not is_varied or random.random() >= config.augmentation.probability:
            mel, n_samples = self._plain_mel(row[0]), example.clip.samples.size
        else:
            samples = vary_samples(example.clip.samples, config.augmentation, random, self._max_samples)
            clean, floor = padded_mel(samples, n_mels=self._checkpoint.dims.n_mels)
            mel, n_samples = (mask_mel(clean, config.augmentation, random), floor), samples.size
        spoken = [Spoken(example.text, 0.0, n_samples / SAMPLE_RATE)] if example.text else []
        return mel, spoken, is_varied and random.random() < config.timestamps_share

    def _packed(
        self, step: int, position: int, row: tuple[int, ...], min_frames: int, is_varied: bool
    ) -> tuple[tuple[Mel, float], list[Spoken], bool]:
        """Several clips with pauses between them; each is varied by itself, as if it came alone."""
        config = self._config
        random = stream(config.seed, _PACKED, step, position)
        examples = [self._examples[index] for index in row]
        sizes = [example.clip.samples.size for example in examples]
        n_window = min(self._max_samples, max(min_frames * HOP_LENGTH, sum(sizes)))
        room = room_for(sizes, n_window)
        is_plain = [not is_varied or random.random() >= config.augmentation.probability for _ in row]
        sounds = [
            example.clip.samples
            if plain
            else vary_samples(example.clip.samples, config.augmentation, random, example.clip.samples.size + room)
            for example, plain in zip(examples, is_plain, strict=True)
        ]
        starts = starts_of([sound.size for sound in sounds], n_window, random)
        window = np.zeros(starts[-1] + sounds[-1].size, np.float32)
        spoken: list[Spoken] = []
        for start, sound, example in zip(starts, sounds, examples, strict=True):
            window[start : start + sound.size] = sound
            if example.text:
                spoken.append(Spoken(example.text, start / SAMPLE_RATE, (start + sound.size) / SAMPLE_RATE))
        mel, floor = padded_mel(window, n_mels=self._checkpoint.dims.n_mels)
        for start, sound, plain in zip(starts, sounds, is_plain, strict=True):
            if not plain:
                # Clip by clip: a stretch of the whole window could swallow one, and its text would be invented.
                part = slice(start // HOP_LENGTH, (start + sound.size) // HOP_LENGTH)
                mel[part] = mask_mel(mel[part], config.augmentation, random)
        return (mel, floor), spoken, is_varied and random.random() < config.packed_timestamps_share

    def _previous(self, step: int, position: int, first: int) -> tuple[int, ...]:
        previous = self._examples[first].previous
        if not previous or not self._prompt_share:
            return ()
        random = stream(self._config.seed, _PROMPTED, step, position)
        return previous if random.random() < self._prompt_share else ()

    def _collate(
        self, planned: PlannedBatch, mels: list[tuple[Mel, float]], targets: list[Target], token_multiple: int
    ) -> Batch:
        window = self._checkpoint.features.n_frames
        longest = max(mel.shape[0] for mel, _ in mels)
        n_frames = min(window, -(-max(longest, planned.min_frames) // FRAME_MULTIPLE) * FRAME_MULTIPLE)
        pad, most = self._checkpoint.tokenizer.eot, self._checkpoint.dims.n_text_ctx
        tokens, rows, columns, wanted = collate_targets(targets, pad=pad)
        weights = None
        if token_multiple > 1:
            tokens, rows, columns, wanted, weights = filled_up(
                tokens, rows, columns, wanted, multiple=token_multiple, most=most, pad=pad
            )
        return Batch(
            mel=mx.array(stack_mels(mels, n_frames)),
            tokens=mx.array(tokens),
            rows=mx.array(rows),
            columns=mx.array(columns),
            targets=mx.array(wanted),
            audio_s=sum(self._examples[index].clip.duration_s for index in planned.indices),
            weights=None if weights is None else mx.array(weights),
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
