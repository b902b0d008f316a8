"""General speech against forgetting: most of it is mixed into training, the rest is what forgetting is measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from projectone.server.training.config import TrainingConfig
from projectone.server.training.examples import Example
from projectone.server.training.splitting import hold_back

# Decoded at every judgement. More would cost more than the run; of 64 clips with ten words each a point is six words.
_MOST_WATCHED = 64
_LARGEST_SHARE = 0.5


def split_replay(general: Sequence[Example], config: TrainingConfig) -> tuple[list[Example], list[Example]]:
    """Examples to mix in, and examples to watch that are never trained on.

    Speakers are on one side only where there are enough of them: who is heard in training is not forgotten, and would
    hide what is. With too few clips to watch any, all are mixed in.
    """
    if not general:
        return [], []
    # Little general speech gives a larger share of it away, so that there is something to watch at all.
    wanted = max(config.dev_share, min(_LARGEST_SHARE, config.min_dev_clips / len(general)))
    share = wanted if config.dev_share else 0.0
    split = hold_back(
        [example.clip for example in general], replace(config, dev_share=share, max_dev_clips=_MOST_WATCHED)
    )
    watched = {clip.clip_id for clip in split.held_back}
    return (
        [example for example in general if example.clip.clip_id not in watched],
        [example for example in general if example.clip.clip_id in watched],
    )
