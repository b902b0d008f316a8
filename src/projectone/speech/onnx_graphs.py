"""Arithmetic written as an ONNX graph in memory, and run by onnxruntime: its kernels know a CPU's int8 instructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from projectone.errors import SettingsError

Array = np.ndarray[Any, Any]

# Types of values, as ONNX numbers them.
FLOAT, UNSIGNED = 1, 2
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
        SettingsError: if onnx or onnxruntime is not installed.
    """

    def __init__(self) -> None:
        try:
            import onnx
            import onnxruntime
        except ImportError as error:
            raise SettingsError(f"int8 numerics need pip install 'projectone[int8]' ({error})") from error
        self._onnx, self._runtime = onnx, onnxruntime
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, value: Array | np.generic) -> str:
        """A value that never changes."""
        name = f"constant{len(self._constants)}"
        self._constants.append(
            self._onnx.numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
        )
        return name

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401 - as onnx has them
        """The one result of an operation of the ONNX standard, or of onnxruntime's own."""
        name = f"value{len(self._nodes)}"
        domain = _MICROSOFT if operation in _OF_MICROSOFT else ""
        node = self._onnx.helper.make_node(operation, list(inputs), [name], domain=domain, **attributes)
        self._nodes.append(node)
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
        helper = self._onnx.helper
        given = [helper.make_tensor_value_info(name, FLOAT, list(shape)) for name, shape in inputs.items()]
        wanted = [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs]
        graph = helper.make_graph(self._nodes, "graph", given, wanted, self._constants)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = n_threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        content = model.SerializeToString()
        return Session(self._runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"]))
