"""A run's lessons are asked for beside what it held back; where that is little, the golden recordings stand in."""

from __future__ import annotations

import numpy as np
from tests.fakes.tiny_whisper import RATE_HZ, say, tiny_checkpoint

from projectone.server.evaluation.golden import GoldenClip, GoldenSet, golden_set
from projectone.server.pipeline.ports import DatasetEntry
from projectone.server.work.recall import ENOUGH, ask_for_lessons

MODEL = tiny_checkpoint()
COLOURS = ("red", "green", "blue", "black")


def text(n: int) -> str:
    return " ".join(COLOURS[n // 4**place % 4] for place in range(5))


def entries(n_lessons: int, n_held_back: int) -> list[DatasetEntry]:
    return [
        DatasetEntry(
            sample_id=f"sample-{n}", clip_sha256=str(n), text=text(n), speaker=f"s{n % 7}", duration_s=1.5, is_new=True,
            split="train" if n < n_lessons else "dev",
        )
        for n in range(n_lessons + n_held_back)
    ]  # fmt: skip


def golden(n: int) -> GoldenSet:
    clips = [GoldenClip(f"golden-{i}", f"g{i % 7}", "plain", sound(900 + i), text(900 + i)) for i in range(n)]
    silent = GoldenClip("silent", "nobody", "plain", np.zeros(RATE_HZ, np.float32), "")
    general = GoldenClip("general", "g", "plain", sound(990), text(990), "general")
    return golden_set([*clips, silent, general])


def sound(seed: int) -> np.ndarray:
    return say(text(seed), seed=seed)


def test_few_held_back_recordings_are_filled_up_with_golden_ones() -> None:
    read: list[str] = []

    def heard(name: str) -> np.ndarray:
        read.append(name)
        return sound(int(name))

    found = ask_for_lessons(MODEL, MODEL, entries(5, 3), golden(4), heard)
    assert found.masking is not None and found.membership is not None
    assert (found.membership.n_lessons, found.membership.n_others) == (5, 3 + 4)
    assert (found.n_texts, found.membership.auc, found.masking.excess) == (5, 0.5, 0.0)
    assert set(read) == set(map(str, range(8)))


def test_golden_recordings_are_left_out_where_enough_was_held_back_and_no_word_is_in_the_figures() -> None:
    found = ask_for_lessons(MODEL, MODEL, entries(2, ENOUGH), golden(4), lambda name: sound(int(name)))
    assert found.membership is not None and found.membership.n_others == ENOUGH
    told = found.to_bytes().decode()
    assert not any(word in told for word in [*COLOURS, "sample-", "golden-"])
