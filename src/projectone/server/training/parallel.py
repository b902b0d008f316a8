"""Several processes that train as one: what they tell each other, and what they say when one of them is gone.

`mlx.distributed` carries it, whatever it runs on: sockets (the ring backend) on CPUs and Macs, NCCL between CUDA
devices. Nothing on the way is signed or secret: the processes belong on one machine or in a network of their own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import mlx.core as mx
import numpy as np

from projectone.errors import LostProcessError, TrainingError
from projectone.server.training.adamw import Tensors

# Many small tensors are summed as one, which takes fewer rounds; more than this at once only costs memory.
_BUCKET_BYTES = 32 * 2**20


class ProcessGroup:
    """The processes of a run. All of them make the same calls in the same order; each call waits for all.

    Where one of them has ended, every call raises `LostProcessError`.

    Args:
        group: Of `mlx.distributed`; None for a process that trains alone, which then waits for nobody.
    """

    def __init__(self, group: mx.distributed.Group | None = None) -> None:
        self._group = group
        self.rank = 0 if group is None else group.rank()
        self.size = 1 if group is None else group.size()

    @classmethod
    def join(cls, *, is_required: bool = False) -> ProcessGroup:
        """The group that this process was started in, by `mlx.launch` for instance.

        Args:
            is_required: Whether to refuse to be alone.

        Raises:
            TrainingError: if the others cannot be reached.
        """
        try:
            group = mx.distributed.init(strict=is_required)
        except (RuntimeError, ValueError) as error:
            raise TrainingError(f"the processes of this run do not find each other: {error}") from error
        return cls(group if group.size() > 1 else None)

    @property
    def is_first(self) -> bool:
        """Whether this is the one that judges, writes and speaks."""
        return self.rank == 0

    def sum(self, arrays: Sequence[mx.array]) -> list[mx.array]:
        """Each array summed over the processes, which have the same shapes, in float32; all get the same bits."""
        if self._group is None:
            return list(arrays)
        sums: list[mx.array] = []
        for bucket in _buckets(arrays):
            flat = mx.concatenate([array.astype(mx.float32).reshape(-1) for array in bucket])
            ends = list(accumulate(array.size for array in bucket))
            parts = mx.split(self._exchanged(mx.distributed.all_sum, flat), ends[:-1])
            sums += [part.reshape(array.shape) for part, array in zip(parts, bucket, strict=True)]
        return sums

    def decide(self, decision: Callable[[], Any]) -> Any:  # noqa: ANN401 - any JSON value
        """What the first process decides, a JSON value, for all. The others do not ask `decision`, they wait.

        If it raises, the first process ends with that, and the others with the loss of the first.
        """
        text = json.dumps(decision()).encode() if self.is_first else b""
        if self._group is None:
            return json.loads(text)
        n_bytes = int(self._exchanged(mx.distributed.all_sum, mx.array([len(text)], dtype=mx.int32)).item())
        own = mx.array(np.frombuffer(text, np.uint8)) if self.is_first else mx.zeros((n_bytes,), dtype=mx.uint8)
        return json.loads(np.array(self._exchanged(mx.distributed.all_sum, own)).tobytes())

    def tensors(self, own: Tensors) -> Tensors:
        """What the first process has, bit for bit; what the others give is left aside."""
        if self._group is None:
            return own
        shapes: list[tuple[str, list[int], str]] = self.decide(
            lambda: [(name, list(tensor.shape), str(tensor.dtype).rpartition(".")[2]) for name, tensor in own.items()]
        )
        received: Tensors = {}
        for name, shape, kind in shapes:
            dtype: mx.Dtype = getattr(mx, kind)
            # As bytes: a sum with zeros changes none of them, while a sum of numbers would lose the sign of -0.0.
            n_bytes = int(np.prod(shape)) * dtype.size
            given = _as_bytes(own[name]) if self.is_first else mx.zeros((n_bytes,), dtype=mx.uint8)
            received[name] = self._exchanged(mx.distributed.all_sum, given).view(dtype).reshape(shape)
        return received

    def expect_same(self, digest: str, what: str) -> None:
        """Make sure that all processes have the same.

        Args:
            digest: Of what this one has, in hexadecimal digits.
            what: Is compared, for the message.

        Raises:
            TrainingError: in every process, if one has something else.
        """
        if self._group is None:
            return
        own = mx.array(np.frombuffer(bytes.fromhex(digest), np.uint8))[None]
        found = np.array(self._exchanged(mx.distributed.all_gather, own))
        strangers = [str(rank) for rank in range(self.size) if (found[rank] != found[0]).any()]
        if strangers:
            raise TrainingError(
                f"{what}: expected the same in all {self.size} processes, but process {', '.join(strangers)} has "
                "something else than process 0. Give all of them the same clips, settings, base and versions"
            )

    def _exchanged(self, operation: Callable[..., mx.array], own: mx.array) -> mx.array:
        mx.eval(own)  # an error in here is no matter of the group's
        try:
            result = operation(own, group=self._group)
            mx.eval(result)
        except RuntimeError as error:
            raise LostProcessError(
                f"process {self.rank} of {self.size}: another process of this run is gone ({error}). What it said "
                "tells why; all processes started again with --resume go on from the last checkpoint"
            ) from error
        return result


def digest_of_tensors(tensors: Mapping[str, mx.array]) -> str:
    """SHA-256 over names and bits, whatever the order."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(np.array(_as_bytes(tensors[name]), copy=False).data)
    return digest.hexdigest()


def _as_bytes(tensor: mx.array) -> mx.array:
    return mx.contiguous(tensor.reshape(-1)).view(mx.uint8)


def _buckets(arrays: Sequence[mx.array]) -> list[list[mx.array]]:
    buckets: list[list[mx.array]] = []
    n_bytes = 0
    for array in arrays:
        if not buckets or n_bytes + 4 * array.size > _BUCKET_BYTES:
            buckets.append([])
            n_bytes = 0
        buckets[-1].append(array)
        n_bytes += 4 * array.size
    return buckets
