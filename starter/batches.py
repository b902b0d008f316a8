"""Clips to training batches, made in a process of its own so that the trainer never waits."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from starter.data import SYMBOLS, Clip
from starter.examples import FULL_FRAMES, IGNORED, Example, floor_of, silent_example, spoken_example
from starter.vocabulary import WINDOW_S, Vocabulary

SHAPE_STEP = 40  # frames; divides a full window


@dataclass(frozen=True)
class Batch:
    """One step's worth of examples, padded.

    Attributes:
        mel: (batch, frames, 80), half precision to travel light.
        n_frames: Real frames of each, before padding.
        tokens: Decoder input, (batch, tokens), starting with the prefix.
        targets: The next token at each place; `IGNORED` where nothing is learnt.
        pieces: Base tokens of the text for the connectionist loss, and how many.
        phonemes: The same for phonemes, from 1 on; none where `labels` says more.
        spans: Where the decoder should listen when it predicts each target: first and last encoder step, (batch,
            tokens, 2); -1 where it is not known.
        labels: The phoneme in each second frame, (batch, frames / 2); `IGNORED` where it is not known.
    """

    mel: npt.NDArray[np.float16]
    n_frames: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    pieces: npt.NDArray[np.int64]
    n_pieces: npt.NDArray[np.int64]
    phonemes: npt.NDArray[np.int64]
    n_phonemes: npt.NDArray[np.int64]
    spans: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Mixture:
    """How batches are drawn.

    Attributes:
        shares: How often each pool is drawn from; they need not add up to one.
        batch_frames: Mel frames in a batch, padding included.
        full_window: Share of batches padded to the whole window.
        joined: Share of examples that are two or three clips in a row.
        silent: Share of examples with no speech at all.
        timestamps: Share of examples with timestamp tokens.
        masked: Share of examples with hidden bands and stretches.
        longest_s: Longer clips are left out; short ones alone make a model align within minutes.
    """

    shares: Mapping[str, float]
    batch_frames: int = 9_000
    full_window: float = 0.15
    joined: float = 0.12
    silent: float = 0.02
    timestamps: float = 0.12
    masked: float = 0.6
    longest_s: float = float(WINDOW_S)


class Drawer:
    """Draws examples from pools of clips, the same for the same seed and number."""

    def __init__(
        self, pools: Mapping[str, Sequence[Clip]], vocabulary: Vocabulary, mixture: Mixture, seed: int
    ) -> None:
        short = {
            name: [clip for clip in clips if clip.duration_s <= mixture.longest_s] for name, clips in pools.items()
        }
        self._pools = {name: clips for name, clips in short.items() if clips and mixture.shares.get(name, 0) > 0}
        self._names = list(self._pools)
        total = sum(mixture.shares[name] for name in self._names)
        self._weights = [mixture.shares[name] / total for name in self._names]
        self._vocabulary = vocabulary
        self._mixture = mixture
        self._seed = seed

    def group(self, number: int) -> Iterator[Batch]:
        """The batches of one group: many examples sorted by length, so that little is padding."""
        rng = np.random.default_rng([self._seed, number])
        examples = [self._example(rng) for _ in range(192)]
        examples.sort(key=lambda example: example.mel.shape[0])
        batches: list[tuple[list[Example], int]] = []
        while examples:
            # From the long end, in few distinct shapes: the matrix kernels are made anew for each shape.
            n_frames = self._window(examples[-1].mel.shape[0], rng)
            size = min(len(examples), max(1, self._mixture.batch_frames // n_frames))
            batches.append((examples[-size:], n_frames))
            del examples[-size:]
        for index in rng.permutation(len(batches)):
            yield self._batch(*batches[index])

    def _window(self, longest: int, rng: np.random.Generator) -> int:
        """Frames to pad to: the whole window, some room, or just enough."""
        kind = rng.random()
        if kind < self._mixture.full_window:
            return FULL_FRAMES
        wanted = longest + int(rng.integers(0, longest + 1)) if kind < self._mixture.full_window + 0.12 else longest
        return min(FULL_FRAMES, -(-wanted // SHAPE_STEP) * SHAPE_STEP)

    def _clip(self, rng: np.random.Generator) -> Clip:
        pool = self._pools[self._names[int(rng.choice(len(self._names), p=self._weights))]]
        return pool[int(rng.integers(len(pool)))]

    def _example(self, rng: np.random.Generator) -> Example:
        if rng.random() < self._mixture.silent:
            return silent_example(rng)
        clips = [self._clip(rng)]
        n_joined = int(rng.integers(2, 5)) if rng.random() < self._mixture.joined else 1
        while len(clips) < n_joined:
            other = self._clip(rng)
            if sum(clip.duration_s for clip in clips) + other.duration_s > 8:
                break
            clips.append(other)
        return spoken_example(clips, rng, masked=self._mixture.masked, timestamps=self._mixture.timestamps)

    def _decoder_tokens(self, example: Example) -> tuple[list[int], list[int]]:
        """Decoder input and the next token at each place."""
        id_of = self._vocabulary.id_of
        prefix = [id_of("<|startoftranscript|>"), id_of("<|en|>"), id_of("<|transcribe|>")]
        pieces = self._vocabulary.encode(example.clip_text)
        if example.is_timed and pieces:
            zero = id_of("<|0.00|>")
            start, end = (zero + min(50 * WINDOW_S, round(50 * at)) for at in (example.start_s, example.end_s))
            body = [start, *pieces, end]
        else:
            prefix = [*prefix, id_of("<|notimestamps|>")]
            body = pieces
        sequence = [*prefix, *body, id_of("<|endoftext|>")]
        targets = [IGNORED] * (len(prefix) - 1) + sequence[len(prefix) :]
        # The first place says whether anybody speaks, as Whisper's does.
        targets[0] = id_of("<|en|>") if pieces else id_of("<|nospeech|>")
        return sequence[:-1], targets

    def _batch(self, examples: list[Example], n_frames: int) -> Batch:
        mels = np.empty((len(examples), n_frames, 80), dtype=np.float16)
        for row, example in zip(mels, examples, strict=True):
            row[: example.mel.shape[0]] = example.mel
            row[example.mel.shape[0] :] = floor_of(example.mel)
        end = self._vocabulary.id_of("<|endoftext|>")
        decoder = [self._decoder_tokens(example) for example in examples]
        pieces = [self._vocabulary.encode(example.clip_text) for example in examples]
        phonemes = [[SYMBOLS[name] for name in example.phonemes if name in SYMBOLS] for example in examples]
        return Batch(
            mels,
            np.array([example.mel.shape[0] for example in examples]),
            _padded([tokens for tokens, _ in decoder], end),
            _padded([targets for _, targets in decoder], IGNORED),
            _padded(pieces, 0),
            np.array([len(row) for row in pieces]),
            _padded(phonemes, 0),
            np.array([len(row) for row in phonemes]),
            self._span_table(examples, decoder),
            self._label_table(examples, n_frames),
        )

    def _span_table(self, examples: list[Example], decoder: list[tuple[list[int], list[int]]]) -> npt.NDArray[np.int64]:
        table = np.full((len(examples), max(len(tokens) for tokens, _ in decoder), 2), -1, dtype=np.int64)
        for row, example, (_, targets) in zip(table, examples, decoder, strict=True):
            places = [at for at, target in enumerate(targets) if 0 <= target < self._vocabulary.n_base]
            if len(places) == len(example.words):  # every word is one token
                for place, (start_s, end_s) in zip(places, example.words, strict=True):
                    row[place] = max(0, round(start_s * 50) - 1), round(end_s * 50) + 1
        return table

    def _label_table(self, examples: list[Example], n_frames: int) -> npt.NDArray[np.int64]:
        table = np.zeros((len(examples), n_frames), dtype=np.int64)
        for row, example in zip(table, examples, strict=True):
            row[: example.labels.size] = example.labels
        return table[:, 1::2]


def _padded(rows: Sequence[Sequence[int]], filler: int) -> npt.NDArray[np.int64]:
    out = np.full((len(rows), max(1, *(len(row) for row in rows))), filler, dtype=np.int64)
    for target, row in zip(out, rows, strict=True):
        target[: len(row)] = row
    return out


def stream(
    drawer_of: Callable[[int], Drawer], *, first_group: int, end_group: int, n_ahead: int = 24
) -> Generator[tuple[int, Batch], None, None]:
    """Batches of the groups before `end_group`, each with its group's number, made ahead by a child process."""
    context = multiprocessing.get_context("fork")  # the pools are hundreds of megabytes: shared, not copied
    queue = context.Queue(n_ahead)

    def produce() -> None:
        # The parent's orderly way of stopping is not the child's: it just ends.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in range(first_group, end_group):
            for batch in drawer_of(number).group(number):
                queue.put((number, batch))
        queue.put(None)

    child = context.Process(target=produce, daemon=True)
    child.start()
    try:
        while (item := queue.get(timeout=300)) is not None:
            yield item
    finally:
        child.terminate()
        child.join()
        queue.cancel_join_thread()
