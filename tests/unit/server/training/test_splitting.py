import numpy as np

from projectone.server.training.config import TrainingConfig
from projectone.server.training.examples import TrainingClip
from projectone.server.training.splitting import hold_back


def clips(n_speakers: int, per_speaker: int) -> list[TrainingClip]:
    silence = np.zeros(1600, np.float32)
    return [TrainingClip(f"{s}-{i}", silence, "red", f"s{s}") for s in range(n_speakers) for i in range(per_speaker)]


def test_many_speakers_are_kept_on_one_side() -> None:
    split = hold_back(clips(20, 10), TrainingConfig(dev_share=0.15))
    assert split.kind == "speakers"
    assert {clip.speaker for clip in split.training} & {clip.speaker for clip in split.held_back} == set()
    assert 30 <= len(split.held_back) <= 45


def test_no_more_is_held_back_than_can_be_decoded_again_and_again() -> None:
    for n_speakers in (4, 40):
        split = hold_back(clips(n_speakers, 2000 // n_speakers), TrainingConfig(max_dev_clips=60))
        assert 45 <= len(split.held_back) <= 90


def test_speakers_with_very_many_clips_each_give_some() -> None:
    split = hold_back(clips(12, 300), TrainingConfig(max_dev_clips=60))
    assert (split.kind, len(split.held_back)) == ("clips", 60)


def test_few_speakers_each_give_some_clips() -> None:
    split = hold_back(clips(3, 40), TrainingConfig(dev_share=0.15))
    assert split.kind == "clips"
    assert {clip.speaker for clip in split.held_back} == {"s0", "s1", "s2"}
    assert len(split.held_back) == 18
    assert len(split.training) == 102


def test_too_few_clips_hold_nothing_back() -> None:
    split = hold_back(clips(2, 10), TrainingConfig(dev_share=0.15, min_dev_clips=8))
    assert (split.kind, len(split.training), split.held_back) == ("none", 20, [])


def test_the_order_of_the_clips_does_not_matter() -> None:
    forward, backward = (hold_back(given, TrainingConfig()) for given in (clips(3, 40), clips(3, 40)[::-1]))
    assert {c.clip_id for c in forward.held_back} == {c.clip_id for c in backward.held_back}


def test_another_seed_holds_back_others() -> None:
    chosen = [{c.clip_id for c in hold_back(clips(3, 40), TrainingConfig(seed=s)).held_back} for s in (0, 1)]
    assert chosen[0] != chosen[1]
