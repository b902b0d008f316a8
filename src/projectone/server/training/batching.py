"""The whole order of a run, decided before it begins: a step's number says everything about its batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from projectone.server.training.config import TrainingConfig
from projectone.server.training.packing import pack
from projectone.speech.audio import HOP_LENGTH, SAMPLE_RATE

# Frames are rounded up, so that shapes repeat: 8 frames are 0.08 s. Coarser ones are computed for nothing.
FRAME_MULTIPLE = 8
_ORDER = 1  # which stream of random numbers
_PADDED_FACTOR = 4  # a step padded to the window may hold this many times the usual seconds


@dataclass(frozen=True)
class PlannedBatch:
    """Which examples a step takes, and how many frames they are padded to at least.

    Attributes:
        epoch: Counted from zero.
        indices: Of the examples, window by window.
        min_frames: Of every window.
        row_sizes: How many examples each window holds, in order; empty if each has one of its own.
    """

    epoch: int
    indices: tuple[int, ...]
    min_frames: int
    row_sizes: tuple[int, ...] = ()

    def rows(self) -> list[tuple[int, ...]]:
        """The examples of each window."""
        if not self.row_sizes:
            return [(index,) for index in self.indices]
        ends = np.cumsum(self.row_sizes).tolist()
        return [self.indices[end - size : end] for end, size in zip(ends, self.row_sizes, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Stock:
    """The examples that a run may take, in one list: those to learn from, then groups of which a share is mixed in.

    Attributes:
        durations_s: Of every example.
        n_tokens: Of every example's text.
        groups: At the end of the list, in order: how many examples, and which share of an epoch without the other
            groups they are to make up.
    """

    durations_s: Sequence[float]
    n_tokens: Sequence[int]
    groups: Sequence[tuple[int, float]] = ()
    n_own: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_own", len(self.durations_s) - sum(n for n, _ in self.groups))
        if self.n_own < 1 or len(self.n_tokens) != len(self.durations_s):
            raise ValueError(f"expected own examples and a text for each, got {self.n_own} of {len(self.n_tokens)}")


def stream(seed: int, *key: int) -> np.random.Generator:
    """Random numbers that depend on nothing but the seed and the key: nothing has to be carried along."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *key])))


def plan_batches(stock: Stock, config: TrainingConfig, *, window_frames: int, n_text_ctx: int) -> list[PlannedBatch]:
    """Every batch of the run, in order.

    Args:
        stock: What there is to take.
        config: Sizes, shares, epochs and seed.
        window_frames: Mel frames of the model's window.
        n_text_ctx: Decoder positions of the model.
    """
    planner = _Planner(stock, config, window_frames, n_text_ctx)
    batches: list[PlannedBatch] = []
    for epoch in range(config.epochs):
        random = stream(config.seed, _ORDER, epoch)
        chosen = _chosen(stock, random)
        order = [chosen[i] for i in random.permutation(len(chosen))]
        plan = planner.whole_windows if config.context == "full" else planner.short
        batches += plan(epoch, order, random)
        if config.max_steps is not None and len(batches) >= config.max_steps:
            return batches[: config.max_steps]
    return batches


def _chosen(stock: Stock, random: np.random.Generator) -> list[int]:
    """The examples of an epoch: all to learn from, and a draw from each of the other groups."""
    chosen = list(range(stock.n_own))
    first = stock.n_own
    for n_there, share in stock.groups:
        if n_there and share:
            n_wanted = round(stock.n_own * share / (1 - share))
            extra = random.choice(n_there, size=min(n_there, max(1, n_wanted)), replace=False)
            chosen += [first + int(index) for index in extra]
        first += n_there
    return chosen


def frames_of(duration_s: float) -> int:
    """Frames that a clip is padded to at least."""
    frames = -(-round(duration_s * SAMPLE_RATE) // HOP_LENGTH) + 2
    return -(-frames // FRAME_MULTIPLE) * FRAME_MULTIPLE


class _Planner:
    """Turns the order of an epoch into steps."""

    def __init__(self, stock: Stock, config: TrainingConfig, window_frames: int, n_text_ctx: int) -> None:
        self._durations_s, self._n_tokens = stock.durations_s, stock.n_tokens
        self._config = config
        self._window_frames = window_frames
        self._n_text_ctx = n_text_ctx

    def short(self, epoch: int, order: list[int], random: np.random.Generator) -> list[PlannedBatch]:
        """Clips of similar length share a batch, which is padded to the longest; some are padded further."""
        groups = self._group(order, longest_s=0.0)
        batches: list[PlannedBatch] = []
        for position in random.permutation(len(groups)):
            minimum = self._min_frames(random)
            if minimum and self._config.packs_windows:
                rows = self._pack(groups[position], minimum, random)
            else:
                rows = [[index] for index in groups[position]]
            batches += [_batch(epoch, part, minimum) for part in self._within_memory(rows, minimum)]
        return batches

    def whole_windows(self, epoch: int, order: list[int], random: np.random.Generator) -> list[PlannedBatch]:
        """Every step is as long as the model's window; several clips share one where that is wanted."""
        n_frames = self._window_frames
        if self._config.packs_windows:
            rows = self._pack(order, n_frames, random)
            most = max(1, min(self._config.batch_size, int(self._config.batch_seconds / _seconds(n_frames))))
            steps = [rows[start : start + most] for start in range(0, len(rows), most)]
        else:
            groups = self._group(order, longest_s=_seconds(n_frames))
            steps = [
                part
                for position in random.permutation(len(groups))
                for part in self._within_memory([[index] for index in groups[position]], n_frames)
            ]
        return [_batch(epoch, step, n_frames) for step in steps]

    def _group(self, order: list[int], *, longest_s: float) -> list[list[int]]:
        """Clips of similar length; which ones they are changes with the order."""
        config = self._config
        groups: list[list[int]] = []
        pool = 8 * config.batch_size
        for start in range(0, len(order), pool):
            group: list[int] = []
            for index in sorted(order[start : start + pool], key=lambda i: self._durations_s[i]):
                padded_s = longest_s or self._durations_s[index]
                if group and (len(group) == config.batch_size or (len(group) + 1) * padded_s > config.batch_seconds):
                    groups.append(group)
                    group = []
                group.append(index)
            groups.append(group)
        return groups

    def _pack(self, order: list[int], n_frames: int, random: np.random.Generator) -> list[list[int]]:
        return pack(
            order,
            self._durations_s,
            self._n_tokens,
            random,
            window_s=_seconds(n_frames),
            n_text_ctx=self._n_text_ctx,
        )

    def _min_frames(self, random: np.random.Generator) -> int:
        if random.random() >= self._config.full_window_share:
            return 0
        # Half of them the whole window, as in use; the others anything between, so that no length is special.
        return self._window_frames if random.random() < 0.5 else int(random.integers(1, self._window_frames + 1))

    def _within_memory(self, rows: list[list[int]], min_frames: int) -> list[list[list[int]]]:
        """The rows in equal parts, if their padding would make one step far larger than the others."""
        padded_s = _seconds(min_frames)
        most = max(1, int(_PADDED_FACTOR * self._config.batch_seconds / padded_s)) if padded_s else len(rows)
        n_parts = -(-len(rows) // most)
        return [rows[part::n_parts] for part in range(n_parts)]


def _batch(epoch: int, rows: Sequence[Sequence[int]], min_frames: int) -> PlannedBatch:
    sizes = tuple(len(row) for row in rows)
    indices = tuple(index for row in rows for index in row)
    return PlannedBatch(epoch, indices, min_frames, () if len(indices) == len(rows) else sizes)


def _seconds(n_frames: int) -> float:
    return n_frames * HOP_LENGTH / SAMPLE_RATE
