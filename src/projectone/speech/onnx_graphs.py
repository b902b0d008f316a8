"""Arithmetic written as an ONNX graph in memory, and run by onnxruntime: its kernels know a CPU's int8 instructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from projectone.errors import SettingsError
from projectone.speech import onnx_messages
from projectone.speech.onnx_messages import Array, Attribute

_OPSET, _IR_VERSION = 20, 10
# Operations that onnxruntime has beside those of the standard.
_MICROSOFT = "com.microsoft"
_OF_MICROSOFT = frozenset({"MatMulIntegerToFloat", "MultiHeadAttention"})


class Session:
    """A graph ready to run: named arrays in, a list of arrays out."""

    def __init__(self, session: Any) -> None:  # noqa: ANN401 - onnxruntime has no types
        self._session = session

    def __call__(self, **arrays: Array) -> list[Array]:
        """Its outputs, in order."""
        made: list[Array] = self._session.run(None, arrays)
        return made


class Graph:
    """Operations in the order in which they are added; values go by names that the graph gives them.

    Raises:
        SettingsError: if onnxruntime is not installed.
    """

    def __init__(self) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise SettingsError(f"int8 numerics need pip install 'projectone[int8]' ({error})") from error
        self._runtime = onnxruntime
        self._nodes: list[bytes] = []
        self._constants: list[onnx_messages.Pieces] = []

    def constant(self, value: Array | np.generic) -> str:
        """A value that never changes; an array is looked at until the graph is made ready."""
        name = f"constant{len(self._constants)}"
        self._constants.append(onnx_messages.tensor(name, value))
        return name

    def add(self, operation: str, *inputs: str, **attributes: Attribute) -> str:
        """The one result of an operation of the ONNX standard, or of onnxruntime's own."""
        name = f"value{len(self._nodes)}"
        domain = _MICROSOFT if operation in _OF_MICROSOFT else ""
        self._nodes.append(onnx_messages.node(operation, inputs, name, domain, attributes))
        return name

    def session(
        self, inputs: Mapping[str, Sequence[int | str]], outputs: Sequence[str], *, n_threads: int = 0
    ) -> Session:
        """Make the graph ready to run.

        Args:
            inputs: Shapes of float32 arrays by name; sizes that vary are words.
            outputs: Names of values.
            n_threads: As many as there are cores by default.
        """
        given = [onnx_messages.floats(name, shape) for name, shape in inputs.items()]
        wanted = [onnx_messages.floats(name, None) for name in outputs]
        graph = onnx_messages.graph(self._nodes, self._constants, given, wanted)
        content = onnx_messages.model(graph, ir_version=_IR_VERSION, opsets={"": _OPSET, _MICROSOFT: 1})
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = n_threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return Session(self._runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"]))
