"""Runs a saved package without Core ML, operation by operation in numpy: what Linux can know about its numbers.

Every result is rounded to float16 where the graph says float16, and an overflow names the operation where it began.
What Core ML's own kernels, the GPU and the Neural Engine make of it, only a Mac or a phone can tell.

An unknown operation or argument is an error, never skipped.

Source: the MIL operations' definitions in coremltools 9.0, `converters/mil/mil/ops/defs/iOS15` and `iOS16`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from projectone.errors import ConversionError
from projectone.server.conversion.coreml.reading import Graph, Operation

Array = npt.NDArray[Any]
_CASTS = {"fp16": np.float16, "fp32": np.float32, "int32": np.int32}


class Interpreter:
    """One package, ready to run many times.

    Args:
        graph: As read from disk.
        is_half: Round to float16 where the graph computes in it; without, everything is float32, which tells an error
            of the graph from one of the rounding.
    """

    def __init__(self, graph: Graph, *, is_half: bool = True) -> None:
        self._graph = graph
        self._is_half = is_half
        self._constants: dict[str, Array | str] = {}
        self._steps: list[Operation] = []
        for operation in graph.operations:
            if operation.kind in _STORED:
                value = _STORED[operation.kind](operation)
                self._constants[operation.outputs[0]] = self._widened(value) if isinstance(value, np.ndarray) else value
            elif operation.kind in _OPERATIONS or operation.kind == "split":
                self._steps.append(operation)
            else:
                raise ConversionError(f"operation {operation.kind!r} is not known here")

    def __call__(self, **inputs: Array) -> dict[str, Array]:
        """The outputs by name, as the types that the package declares.

        Raises:
            ConversionError: naming the first operation whose result is not finite.
        """
        values: dict[str, Any] = dict(self._constants)
        for tensor in self._graph.contract.inputs:
            given = np.asarray(inputs[tensor.name])
            if given.shape != tensor.shape:
                raise ConversionError(f"{tensor.name}: expected shape {tensor.shape}, got {given.shape}")
            values[tensor.name] = self._widened(given.astype(tensor.dtype))
        left = _last_uses(self._steps, self._graph.outputs)
        for place, step in enumerate(self._steps):
            arguments = {name: _bound(values, bound) for name, bound in step.inputs.items()}
            for output, result in zip(step.outputs, _results(step, arguments), strict=True):
                if not np.isfinite(result).all():
                    raise ConversionError(f"{step.kind} {output!r}: its result is not finite in float16")
                values[output] = result
            for name in left.get(place, ()):
                del values[name]
        outputs = {name: np.asarray(values[name]) for name in self._graph.outputs}
        return {t.name: outputs[t.name].astype(t.dtype) for t in self._graph.contract.outputs}

    def stored(self) -> dict[str, Array]:
        """The constants as they are computed with, by name."""
        return {name: value for name, value in self._constants.items() if isinstance(value, np.ndarray)}

    def _widened(self, value: Array) -> Array:
        return value.astype(np.float32) if not self._is_half and value.dtype == np.float16 else value


def _bound(values: Mapping[str, Any], name: str | tuple[str, ...]) -> Array | str | list[Array]:
    return values[name] if isinstance(name, str) else [values[each] for each in name]


def _last_uses(steps: list[Operation], outputs: tuple[str, ...]) -> dict[int, list[str]]:
    """Which results nobody needs after each step: attention of a whole window would fill the memory otherwise."""
    last: dict[str, int] = {}
    for place, step in enumerate(steps):
        for bound in step.inputs.values():
            for name in (bound,) if isinstance(bound, str) else bound:
                last[name] = place
    made = {output for step in steps for output in step.outputs}
    dying: dict[int, list[str]] = {}
    for name, place in last.items():
        if name in made and name not in outputs:
            dying.setdefault(place, []).append(name)
    return dying


def _results(step: Operation, arguments: dict[str, Any]) -> list[Array]:
    if step.kind == "split":
        return list(np.split(arguments["x"], int(arguments["num_splits"]), axis=int(arguments["axis"])))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return [_OPERATIONS[step.kind](**arguments)]


def _float(function: Callable[..., Array]) -> Callable[..., Array]:
    """Computes in float32 and rounds once, to the type of the first tensor."""

    def computed(**arguments: Array | str | list[Array]) -> Array:
        arrays = {name: value for name, value in arguments.items() if isinstance(value, np.ndarray)}
        dtype = next(a.dtype for a in arrays.values() if a.dtype in (np.float16, np.float32))
        wide = {
            name: value.astype(np.float32) if isinstance(value, np.ndarray) and value.dtype == np.float16 else value
            for name, value in arguments.items()
        }
        return function(**wide).astype(dtype)

    return computed


def _conv(
    x: Array,
    weight: Array,
    pad_type: str,
    strides: Array,
    dilations: Array,
    groups: Array,
    pad: Array,
    bias: Array | None = None,
) -> Array:
    if int(groups) != 1 or (np.asarray(dilations) != 1).any():
        raise ConversionError("conv: expected one group without dilation")
    if pad_type == "custom":
        pairs = np.asarray(pad).reshape(-1, 2)
        x = np.pad(x, [(0, 0), (0, 0), *((int(low), int(high)) for low, high in pairs)])
    elif pad_type != "valid":
        raise ConversionError(f"conv: padding {pad_type!r} is not known here")
    has_height = x.ndim == 4
    flat = x[:, :, 0, :] if has_height else x
    kernel = weight[:, :, 0, :] if has_height else weight
    width, stride = kernel.shape[2], int(np.asarray(strides).reshape(-1)[-1])
    if (has_height and x.shape[2] != 1) or flat.shape[0] != 1:
        raise ConversionError(f"conv: expected one row, got {x.shape}")
    windows = np.lib.stride_tricks.sliding_window_view(flat[0], width, axis=1)[:, ::stride]
    columns = windows.transpose(0, 2, 1).reshape(-1, windows.shape[1])
    y = kernel.reshape(len(kernel), -1) @ columns
    if bias is not None:
        y = y + bias[:, None]
    return np.asarray(y[None, :, None, :] if has_height else y[None])


def _layer_norm(x: Array, axes: Array, gamma: Array, beta: Array, epsilon: Array) -> Array:
    (axis,) = (int(a) for a in np.asarray(axes).reshape(-1))
    centred = x - x.mean(axis=axis, keepdims=True)
    variance = (centred * centred).mean(axis=axis, keepdims=True)
    shape = [1] * x.ndim
    shape[axis] = -1
    return np.asarray(centred / np.sqrt(variance + epsilon) * gamma.reshape(shape) + beta.reshape(shape))


def _gelu(x: Array, mode: str) -> Array:
    if mode != "EXACT":
        raise ConversionError(f"gelu: mode {mode!r} is not known here")
    return np.asarray(x * 0.5 * (1 + _erf(x * np.float32(math.sqrt(0.5)))))


def _erf(x: Array) -> Array:
    """Source: Abramowitz and Stegun, 7.1.26: off by 1.5e-7 at most, a thousandth of what float16 rounds."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.asarray(np.sign(x) * (1 - series * np.exp(-x * x)))


def _softmax(x: Array, axis: Array) -> Array:
    raised = np.exp(x - x.max(axis=int(axis), keepdims=True))
    return np.asarray(raised / raised.sum(axis=int(axis), keepdims=True))


def _matmul(x: Array, y: Array, transpose_x: Array, transpose_y: Array) -> Array:
    left = x.swapaxes(-1, -2) if bool(transpose_x) else x
    return np.asarray(left @ (y.swapaxes(-1, -2) if bool(transpose_y) else y))


def _gather(x: Array, indices: Array, axis: Array, batch_dims: Array) -> Array:
    if int(batch_dims):
        raise ConversionError("gather: batches are not known here")
    return np.asarray(np.take(x, indices, axis=int(axis)))


def _slice(x: Array, begin: Array, end: Array) -> Array:
    return np.asarray(x[tuple(slice(int(a), int(b)) for a, b in zip(begin, end, strict=True))])


def _pad(x: Array, pad: Array, mode: str, constant_val: Array | None = None) -> Array:
    if mode != "reflect":
        raise ConversionError(f"pad: mode {mode!r} is not known here")
    pairs = np.asarray(pad).reshape(-1, 2)
    return np.pad(x, [(0, 0)] * (x.ndim - len(pairs)) + [(int(a), int(b)) for a, b in pairs], mode="reflect")


def _reduce_max(x: Array, keep_dims: Array, axes: Array | None = None) -> Array:
    axis = None if axes is None else tuple(int(a) for a in np.asarray(axes).reshape(-1))
    return np.asarray(x.max(axis=axis, keepdims=bool(keep_dims)))


def _reduce_mean(x: Array, axes: Array, keep_dims: Array) -> Array:
    axis = tuple(int(a) for a in np.asarray(axes).reshape(-1))
    return np.asarray(x.mean(axis=axis, keepdims=bool(keep_dims)))


def _concat(values: list[Array], axis: Array, interleave: Array) -> Array:
    if bool(interleave):
        raise ConversionError("concat: interleaving is not known here")
    return np.concatenate(values, axis=int(axis))


def _dequantised(operation: Operation) -> Array:
    """`constexpr_affine_dequantize`: (data - zero point) * scale, along one axis."""
    v = operation.values
    data, scale, zero = (np.asarray(v[name]) for name in ("quantized_data", "scale", "zero_point"))
    shape = [1] * data.ndim
    shape[int(np.asarray(v["axis"]))] = -1
    wide = data.astype(np.float32) - zero.astype(np.float32).reshape(shape if zero.ndim else ())
    return (wide * scale.astype(np.float32).reshape(shape if scale.ndim else ())).astype(scale.dtype)


def _looked_up(operation: Operation) -> Array:
    """`constexpr_lut_to_dense`: indices of a few bits each, lowest first, into a table."""
    indices, table, shape = (np.asarray(operation.values[name]) for name in ("indices", "lut", "shape"))
    n_bits = len(table).bit_length() - 1
    bits = np.unpackbits(indices.astype(np.uint8), bitorder="little")[: int(np.prod(shape)) * n_bits]
    places = bits.reshape(-1, n_bits) @ (1 << np.arange(n_bits))
    return np.asarray(table[places].reshape(tuple(int(s) for s in shape)))


_STORED: dict[str, Callable[[Operation], Array | str]] = {
    "const": lambda operation: operation.values["val"],
    "constexpr_affine_dequantize": _dequantised,
    "constexpr_lut_to_dense": _looked_up,
}
_OPERATIONS: dict[str, Callable[..., Array]] = {
    "add": _float(lambda x, y: x + y),
    "sub": _float(lambda x, y: x - y),
    "mul": _float(lambda x, y: x * y),
    "maximum": _float(lambda x, y: np.maximum(x, y)),
    "log": _float(lambda x, epsilon: np.log(x + epsilon)),
    "conv": _float(_conv),
    "matmul": _float(_matmul),
    "layer_norm": _float(_layer_norm),
    "gelu": _float(_gelu),
    "softmax": _float(_softmax),
    "reduce_mean": _float(_reduce_mean),
    "reduce_max": _reduce_max,
    "cast": lambda x, dtype: x.astype(_CASTS[dtype]),
    "concat": _concat,
    "expand_dims": lambda x, axes: np.expand_dims(x, tuple(int(a) for a in np.asarray(axes).reshape(-1))),
    "gather": _gather,
    "pad": _pad,
    "reshape": lambda x, shape: x.reshape(tuple(int(s) for s in shape)),
    "slice_by_index": _slice,
}
