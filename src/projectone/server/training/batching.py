"""The whole order of a run, decided before it begins: a step's number says everything about its batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from projectone.server.training.config import TrainingConfig
from projectone.speech.audio import HOP_LENGTH, SAMPLE_RATE

# Frames are rounded up, so that shapes repeat: 32 frames are 0.32 s.
FRAME_MULTIPLE = 32
_ORDER = 1  # which stream of random numbers
_PADDED_FACTOR = 4  # a step padded to the window may hold this many times the usual seconds


@dataclass(frozen=True)
class PlannedBatch:
    """Which examples a step takes, and how many frames they are padded to at least."""

    epoch: int
    indices: tuple[int, ...]
    min_frames: int


def stream(seed: int, *key: int) -> np.random.Generator:
    """Random numbers that depend on nothing but the seed and the key: nothing has to be carried along."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *key])))


def plan_batches(
    durations_s: Sequence[float], n_replay: int, config: TrainingConfig, *, window_frames: int
) -> list[PlannedBatch]:
    """Every batch of the run, in order.

    Args:
        durations_s: Of each example; the last `n_replay` of them are general speech, of which each epoch takes a
            share.
        n_replay: How many those are.
        config: Sizes, epochs and seed.
        window_frames: Mel frames of the model's window.
    """
    n_own = len(durations_s) - n_replay
    batches: list[PlannedBatch] = []
    for epoch in range(config.epochs):
        random = stream(config.seed, _ORDER, epoch)
        chosen = list(range(n_own))
        if n_replay and config.replay_fraction:
            n_wanted = round(n_own * config.replay_fraction / (1 - config.replay_fraction))
            extra = random.choice(n_replay, size=min(n_replay, max(1, n_wanted)), replace=False)
            chosen += [n_own + int(index) for index in extra]
        groups = _group([chosen[i] for i in random.permutation(len(chosen))], durations_s, config, window_frames)
        for position in random.permutation(len(groups)):
            minimum = _min_frames(config, random, window_frames)
            for part in _within_memory(groups[position], minimum, config):
                batches.append(PlannedBatch(epoch, tuple(part), minimum))
        if config.max_steps is not None and len(batches) >= config.max_steps:
            return batches[: config.max_steps]
    return batches


def frames_of(duration_s: float) -> int:
    """Frames that a clip is padded to at least."""
    frames = -(-round(duration_s * SAMPLE_RATE) // HOP_LENGTH) + 2
    return -(-frames // FRAME_MULTIPLE) * FRAME_MULTIPLE


def _group(
    order: list[int], durations_s: Sequence[float], config: TrainingConfig, window_frames: int
) -> list[list[int]]:
    """Clips of similar length share a batch; which ones they are changes with the order."""
    window_s = window_frames * HOP_LENGTH / SAMPLE_RATE
    groups: list[list[int]] = []
    pool = 8 * config.batch_size
    for start in range(0, len(order), pool):
        group: list[int] = []
        for index in sorted(order[start : start + pool], key=lambda i: durations_s[i]):
            longest_s = window_s if config.context == "full" else durations_s[index]
            if group and (len(group) == config.batch_size or (len(group) + 1) * longest_s > config.batch_seconds):
                groups.append(group)
                group = []
            group.append(index)
        groups.append(group)
    return groups


def _min_frames(config: TrainingConfig, random: np.random.Generator, window_frames: int) -> int:
    if config.context == "full":
        return window_frames
    if random.random() >= config.full_window_share:
        return 0
    # Half of them the whole window, as in use; the others anything between, so that no length is special.
    return window_frames if random.random() < 0.5 else int(random.integers(1, window_frames + 1))


def _within_memory(group: list[int], min_frames: int, config: TrainingConfig) -> list[list[int]]:
    """The group in equal parts, if its padding would make one step far larger than the others."""
    padded_s = min_frames * HOP_LENGTH / SAMPLE_RATE
    most = max(1, int(_PADDED_FACTOR * config.batch_seconds / padded_s)) if padded_s else len(group)
    n_parts = -(-len(group) // most)
    return [group[part::n_parts] for part in range(n_parts)]
