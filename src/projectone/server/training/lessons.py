"""All that a run will see, step by step: examples, order and arrays, the same for every engine."""

from __future__ import annotations

from projectone.server.training.batching import PlannedBatch, Stock, plan_batches
from projectone.server.training.config import TrainingConfig
from projectone.server.training.examples import Example, ExampleBuilder
from projectone.server.training.features import BatchMaker
from projectone.server.training.loss import Batch
from projectone.server.training.material import Material
from projectone.server.training.negatives import negative_clips
from projectone.server.training.prompts import with_previous_text

# Epochs draw from this many speechless clips: 64 of them are about 3 min and 11 MB.
_MOST_NEGATIVES = 64


class Lessons:
    """The batches of a run. Two of the same model, material and config give the same ones, whatever was made before.

    Args:
        builder: Of the model.
        material: The clips, sorted by use.
        config: Shares, sizes, order and seed.
    """

    def __init__(self, builder: ExampleBuilder, material: Material, config: TrainingConfig) -> None:
        checkpoint = builder.checkpoint
        negatives_share = config.negatives_share_for(checkpoint.dims.n_vocab)
        negatives = _negatives(builder, material, config) if negatives_share else []
        examples = [
            *with_previous_text(material.own),
            *with_previous_text(material.replay),
            *material.carriers,
            *negatives,
        ]
        groups = (
            (len(material.replay), config.replay_fraction),
            (len(material.carriers), config.carriers_share),
            (len(negatives), negatives_share),
        )
        self._examples = examples
        stock = Stock(
            durations_s=[example.clip.duration_s for example in examples],
            n_tokens=[len(example.text) for example in examples],
            groups=groups,
        )
        self._plan = plan_batches(
            stock, config, window_frames=checkpoint.features.n_frames, n_text_ctx=checkpoint.dims.n_text_ctx
        )
        self._maker = BatchMaker(builder, examples, config, marks_speech=bool(negatives))

    def __len__(self) -> int:
        """Steps of the run."""
        return len(self._plan)

    @property
    def plan(self) -> list[PlannedBatch]:
        """What each step takes."""
        return self._plan

    @property
    def epochs(self) -> list[int]:
        """The epoch of each step."""
        return [planned.epoch for planned in self._plan]

    def examples(self, step: int) -> list[list[Example]]:
        """What each window of a step holds, in the order of the batch."""
        return [[self._examples[index] for index in row] for row in self._plan[step].rows()]

    def batch(self, step: int) -> Batch:
        """The arrays of one step, counted from zero."""
        return self._maker.make(step, self._plan[step])


def _negatives(builder: ExampleBuilder, material: Material, config: TrainingConfig) -> list[Example]:
    clips = negative_clips(
        min(_MOST_NEGATIVES, max(8, len(material.own))),
        [example.clip.samples for example in material.own],
        window_s=builder.window_s,
        seed=config.seed,
    )
    return [Example(clip, ()) for clip in clips]
