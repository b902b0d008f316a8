"""What a run learns from, what it is judged by, and what it must not forget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projectone.errors import TrainingError
from projectone.server.training.config import TrainingConfig
from projectone.server.training.examples import Example, ExampleBuilder, Skipped, TrainingClip
from projectone.server.training.replay import split_replay
from projectone.server.training.splitting import SplitKind, hold_back
from projectone.speech.checkpoint import WhisperCheckpoint


@dataclass(frozen=True)
class Material:
    """The examples of a run, sorted by use.

    Attributes:
        own: To learn from.
        replay: General speech, mixed in against forgetting.
        held_back: To choose the weights by.
        general: General speech that the weights are watched on.
        carriers: Synthetic sentences, mixed in for their words.
    """

    own: list[Example]
    replay: list[Example]
    held_back: list[Example]
    general: list[Example]
    carriers: list[Example]
    split: SplitKind
    skipped: tuple[Skipped, ...]


def sort_clips(
    checkpoint: WhisperCheckpoint,
    clips: Sequence[TrainingClip],
    dev_clips: Sequence[TrainingClip] | None,
    replay_clips: Sequence[TrainingClip],
    config: TrainingConfig,
    carrier_clips: Sequence[TrainingClip] = (),
) -> Material:
    """What is trained on, what is mixed in, what is held back; clips that do not fit are left out first.

    Raises:
        TrainingError: if nothing is left to learn from, or the base does not know the language.
    """
    known = checkpoint.tokenizer.languages
    if checkpoint.tokenizer.is_multilingual and config.language not in known:
        raise TrainingError(f"language: the base knows {', '.join(known)}, got {config.language!r}")
    builder = ExampleBuilder(checkpoint, language=config.language)
    fitting, skipped = builder.build(clips)
    if not fitting:
        why = f": {skipped[0].clip_id!r}: {skipped[0].reason}" if skipped else ""
        raise TrainingError(f"no clip to learn from: {len(clips)} given, {len(skipped)} left out{why}")
    by_id = {example.clip.clip_id: example for example in fitting}
    if len(by_id) != len(fitting):
        raise TrainingError("clips: expected every clip_id once, got the same one twice")
    replay, skipped_replay = builder.build(replay_clips)
    carriers, skipped_carriers = builder.build(carrier_clips)
    if dev_clips is None:
        split = hold_back([example.clip for example in fitting], config)
        own = [by_id[clip.clip_id] for clip in split.training]
        held_back, kind = [by_id[clip.clip_id] for clip in split.held_back], split.kind
    else:
        held_back, skipped_dev = builder.build(dev_clips)
        own, kind = fitting, "given" if held_back else "none"
        skipped += skipped_dev
    mixed_in, general = split_replay(replay, config) if held_back else (replay, [])
    return Material(
        own=own,
        replay=mixed_in,
        held_back=held_back,
        general=general,
        carriers=carriers,
        split=kind,
        skipped=(*skipped, *skipped_replay, *skipped_carriers),
    )
