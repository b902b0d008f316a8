import numpy as np

from projectone.server.training.config import TrainingConfig
from projectone.server.training.examples import Example, TrainingClip
from projectone.server.training.replay import split_replay


def general(n_speakers: int, per_speaker: int) -> list[Example]:
    silence = np.zeros(1600, np.float32)
    return [
        Example(TrainingClip(f"{s}-{i}", silence, "red", f"s{s}"), (1,))
        for s in range(n_speakers)
        for i in range(per_speaker)
    ]


def test_whoever_is_mixed_in_is_not_watched_where_there_are_enough_people() -> None:
    mixed, watched = split_replay(general(20, 12), TrainingConfig())
    assert len(mixed) + len(watched) == 240
    assert 24 <= len(watched) <= 54
    assert {e.clip.speaker for e in mixed} & {e.clip.speaker for e in watched} == set()


def test_few_people_are_on_both_sides_with_other_clips() -> None:
    mixed, watched = split_replay(general(3, 40), TrainingConfig())
    assert len(watched) == 18
    assert {e.clip.speaker for e in watched} == {"s0", "s1", "s2"}
    assert {e.clip.clip_id for e in mixed} & {e.clip.clip_id for e in watched} == set()


def test_of_very_much_no_more_is_watched_than_can_be_decoded_again_and_again() -> None:
    mixed, watched = split_replay(general(100, 20), TrainingConfig())
    assert 48 <= len(watched) <= 96
    assert len(mixed) + len(watched) == 2000


def test_of_very_little_enough_is_watched_to_see_anything() -> None:
    mixed, watched = split_replay(general(2, 10), TrainingConfig(min_dev_clips=8))
    assert (len(mixed), len(watched)) == (12, 8)


def test_a_handful_is_all_mixed_in() -> None:
    mixed, watched = split_replay(general(1, 6), TrainingConfig(min_dev_clips=8))
    assert (len(mixed), watched) == (6, [])
    assert split_replay([], TrainingConfig()) == ([], [])


def test_the_order_of_the_clips_does_not_matter() -> None:
    one, other = (split_replay(clips, TrainingConfig())[1] for clips in (general(4, 30), general(4, 30)[::-1]))
    assert {e.clip.clip_id for e in one} == {e.clip.clip_id for e in other}
