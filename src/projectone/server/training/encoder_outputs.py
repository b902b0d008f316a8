"""Outputs of an encoder that is not trained: computed once, kept on disk by digest, read in every later epoch.

Whoever trains the decoder alone pays for the encoder in every step, and it is the larger part. For its outputs to
repeat, its inputs must: the batches of the first `TrainingConfig.encoded_epochs` epochs, with their augmentation, come
again in the later ones in another order. So that a resumed run ends in the same bits, what is read and what was only
just computed are the same numbers: rounded to float16 (`DTYPE`), whether or not they found room on the disk.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import mlx.core as mx
import numpy as np

from projectone.server.training.batching import stream
from projectone.server.training.loss import Batch
from projectone.storage.files import sweep_temporary, write_atomically

# Half the bytes of float32. Measured with the starter model on real speech: the loss moves by less than one part in
# 10,000, see tests/unit/server/training/test_encoder_outputs.py.
DTYPE = np.float16
_REPEAT = 13  # which stream of random numbers
_DIGEST_BYTES = 32


def repeated_steps(
    epochs: Sequence[int], n_encoded: int, seed: int, *, max_steps: int | None
) -> tuple[list[int], list[int]]:
    """For every step of a run, the step whose batch it takes, and its epoch.

    Args:
        epochs: Of every planned step, rising.
        n_encoded: How many epochs are taken as planned; the later ones repeat these in turn.
        seed: Decides the order in which they are repeated.
        max_steps: No more than this.
    """
    planned: dict[int, list[int]] = {}
    for step, epoch in enumerate(epochs):
        planned.setdefault(epoch, []).append(step)
    sources: list[int] = []
    new_epochs: list[int] = []
    for epoch in planned:
        steps = planned[epoch % n_encoded]
        if epoch >= n_encoded:
            steps = [steps[i] for i in stream(seed, _REPEAT, epoch).permutation(len(steps))]
        sources += steps
        new_epochs += [epoch] * len(steps)
    return sources[:max_steps], new_epochs[:max_steps]


class EncoderOutputs:
    """Runs an encoder, and remembers on disk what came out.

    Args:
        folder: For the outputs alone.
        embed: The encoder: (clips, frames, mels) to (clips, positions, state).
        model_sha256: Of the model that the encoder belongs to.
        max_bytes: What would go beyond is computed anew each time.
    """

    def __init__(
        self, folder: Path, embed: Callable[[mx.array], mx.array], *, model_sha256: str, max_bytes: int
    ) -> None:
        self._folder, self._embed = folder, embed
        self._model_sha256, self._max_bytes = model_sha256, max_bytes
        self.n_computed = 0
        folder.mkdir(parents=True, exist_ok=True)
        sweep_temporary(folder)
        self._n_bytes = sum(path.stat().st_size for path in folder.iterdir())

    def key_of(self, mel: mx.array) -> str:
        """Name of the outputs of this input."""
        said = f"{self._model_sha256} {np.dtype(DTYPE).name} {mel.shape}".encode()
        return hashlib.sha256(said + np.array(mel, copy=False).tobytes()).hexdigest()

    def find(self, key: str, shape: tuple[int, ...]) -> mx.array | None:
        """The outputs of this name, if they are there and whole."""
        try:
            content = (self._folder / key).read_bytes()
        except FileNotFoundError:
            return None
        digest, numbers = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        # A torn or overwritten file is computed again: it is only a copy of what can be made.
        if hashlib.sha256(numbers).digest() != digest:
            return None
        return mx.array(np.frombuffer(numbers, DTYPE).reshape(shape)).astype(mx.float32)

    def compute(self, key: str, mel: mx.array) -> mx.array:
        """Run the encoder on (clips, frames, mels); the outputs are float32 with the numbers of `DTYPE`."""
        self.n_computed += 1
        rounded = np.ascontiguousarray(np.array(self._embed(mel)).astype(DTYPE))
        numbers = rounded.tobytes()
        n_bytes = _DIGEST_BYTES + len(numbers)
        if self._n_bytes + n_bytes <= self._max_bytes:
            write_atomically(self._folder / key, hashlib.sha256(numbers).digest() + numbers)
            self._n_bytes += n_bytes
        return mx.array(rounded).astype(mx.float32)

    def clear(self) -> None:
        """Remove all: these are people's voices, and the run is over."""
        shutil.rmtree(self._folder, ignore_errors=True)


class EncodedBatches:
    """Batches whose sound the encoder has heard already.

    Args:
        batch_of: The planned batch of a step, with its mel.
        sources: For every step of the run, the planned step whose batch it takes.
        outputs: Of the encoder.
    """

    def __init__(self, batch_of: Callable[[int], Batch], sources: Sequence[int], outputs: EncoderOutputs) -> None:
        self._batch_of, self._sources, self._outputs = batch_of, sources, outputs
        # Without mel and features: a few integers. And the name and shape of the features.
        self._known: dict[int, tuple[Batch, str, tuple[int, ...]]] = {}

    def batch(self, step: int) -> Batch:
        """The batch of a step of the run, with `features` in place of `mel`."""
        source = self._sources[step]
        if source in self._known:
            bare, key, shape = self._known[source]
            features = self._outputs.find(key, shape)
            if features is not None:
                return replace(bare, features=features)
        planned = self._batch_of(source)
        key = self._outputs.key_of(planned.mel)
        n_clips, n_frames, _ = planned.mel.shape
        bare = replace(planned, mel=mx.zeros((n_clips, 0, 0)))
        found = self._outputs.find(key, (n_clips, -(-n_frames // 2), -1))
        features = self._outputs.compute(key, planned.mel) if found is None else found
        self._known[source] = (bare, key, tuple(features.shape))
        return replace(bare, features=features)
