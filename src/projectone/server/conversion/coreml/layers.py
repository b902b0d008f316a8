"""Whisper's layers as operations of a Core ML graph, on tensors of (1, state, 1, positions)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from projectone.server.conversion.coreml.compression import Looked, Scaled, Stored
from projectone.server.conversion.coreml.contract import ModelContract
from projectone.server.conversion.coreml.library import TARGET, Program, Value, mb, types

_EPSILON = np.float16(1e-5)
_TYPES = {"float16": types.fp16, "int32": types.int32}


def program(contract: ModelContract, build: Callable[..., Value]) -> Program:
    """A program with the contract's inputs whose body is `build`; its outputs are named in there."""
    specs = [mb.TensorSpec(shape=tensor.shape, dtype=_TYPES[tensor.dtype]) for tensor in contract.inputs]
    return mb.program(input_specs=specs, opset_version=TARGET)(build)


class Layers:
    """The layers of one side of the model: every operation is named after the weights that it applies."""

    def __init__(self, weights: Mapping[str, Stored], n_head: int) -> None:
        self._weights = weights
        self._n_head = n_head

    @staticmethod
    def name(dotted: str) -> str:
        """Our name as an identifier."""
        return dotted.replace(".", "_")

    def stored(self, tensor: str) -> Value:
        """A tensor of the model as a value of the graph, under its own name."""
        kept, name = self._weights[tensor], self.name(tensor)
        if isinstance(kept, Scaled):
            zero = np.zeros(len(kept.scale), np.int8)
            return mb.constexpr_affine_dequantize(
                quantized_data=kept.data, zero_point=zero, scale=kept.scale, axis=0, name=name
            )
        if isinstance(kept, Looked):
            shape = np.array(kept.indices.shape, np.uint32)
            return mb.constexpr_lut_to_dense(indices=kept.packed(), lut=kept.table, shape=shape, name=name)
        return mb.const(val=kept, name=name)

    def linear(self, x: Value, layer: str) -> Value:
        """(1, in, 1, n) to (1, out, 1, n) as a convolution of width one."""
        given = {"bias": self.stored(f"{layer}.bias")} if f"{layer}.bias" in self._weights else {}
        return mb.conv(x=x, weight=self.stored(f"{layer}.weight"), pad_type="valid", name=self.name(layer), **given)

    def convolution(self, x: Value, layer: str, *, stride: int) -> Value:
        """Width three, padding one, then GELU."""
        y = mb.conv(
            x=x,
            weight=self.stored(f"{layer}.weight"),
            bias=self.stored(f"{layer}.bias"),
            strides=[1, stride],
            pad_type="custom",
            pad=[0, 0, 1, 1],
            name=self.name(layer),
        )
        return mb.gelu(x=y, mode="EXACT", name=self.name(f"{layer}.gelu"))

    def norm(self, x: Value, layer: str, *, name: str | None = None) -> Value:
        """Layer norm over the state."""
        return mb.layer_norm(
            x=x,
            axes=[1],
            gamma=self.stored(f"{layer}.weight"),
            beta=self.stored(f"{layer}.bias"),
            epsilon=_EPSILON,
            name=name or self.name(layer),
        )

    def attention(self, x: Value, keys: Value, values: Value, layer: str, *, mask: Value = None) -> tuple[Value, Value]:
        """Attention from `x` to keys and values; the output, and the shares (1, heads, positions of x, of keys)."""
        state, n_from, n_to = x.shape[1], x.shape[3], keys.shape[3]
        width = state // self._n_head
        name = self.name(layer)

        def heads(y: Value, n: int, what: str) -> Value:
            return mb.reshape(x=y, shape=[1, self._n_head, width, n], name=f"{name}_{what}_heads")

        query = heads(self.linear(x, f"{layer}.query"), n_from, "query")
        scores = mb.matmul(x=query, y=heads(keys, n_to, "key"), transpose_x=True, name=f"{name}_scores")
        if mask is not None:
            scores = mb.add(x=scores, y=mask, name=f"{name}_masked")
        shares = mb.softmax(x=scores, axis=-1, name=f"{name}_shares")
        mixed = mb.matmul(x=heads(values, n_to, "value"), y=shares, transpose_y=True, name=f"{name}_mixed")
        joined = mb.reshape(x=mixed, shape=[1, state, 1, n_from], name=f"{name}_joined")
        return self.linear(joined, f"{layer}.out"), shares

    def mlp(self, x: Value, block: str) -> Value:
        """The block's second half: norm, widen, GELU, narrow, add."""
        wide = self.linear(self.norm(x, f"{block}.mlp_ln"), f"{block}.mlp1")
        narrow = self.linear(mb.gelu(x=wide, mode="EXACT", name=self.name(f"{block}.gelu")), f"{block}.mlp2")
        return mb.add(x=x, y=narrow, name=self.name(f"{block}.done"))

    def mean_of_heads(self, heard: Sequence[tuple[int, Value]], name: str) -> Value:
        """The mean of some heads' shares of the audio, each (1, heads, 1, positions): (1, positions)."""
        positions = heard[0][1].shape[3]
        taken = [
            mb.slice_by_index(x=shares, begin=[0, head, 0, 0], end=[1, head + 1, 1, positions], name=f"head_{place}")
            for place, (head, shares) in enumerate(heard)
        ]
        together = mb.concat(values=taken, axis=1, name="heads") if len(taken) > 1 else taken[0]
        mean = mb.reduce_mean(x=together, axes=[1], keep_dims=True, name="mean_of_heads")
        return mb.reshape(x=mean, shape=[1, positions], name=name)
