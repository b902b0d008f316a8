from __future__ import annotations

import numpy as np
import onnx
import pytest

from projectone.speech import onnx_messages as ours


def test_a_graph_is_read_as_the_one_that_the_standards_own_library_writes() -> None:
    helper = onnx.helper
    weight = np.arange(6, dtype=np.int8).reshape(2, 3).T  # not in one piece
    values = {"weight": weight, "big": np.full((40, 50), -0.5, np.float32), "one": np.float32(1), "axes": np.array([1])}
    values["none"] = np.empty((0, 3), np.uint8)
    attributes = {"axis": -1, "epsilon": 1e-5, "perm": [1, 0], "to": 1}
    content = ours.model(
        ours.graph(
            [ours.node("Anything", ["x", "weight"], "y", "com.microsoft", attributes)],
            [ours.tensor(name, value) for name, value in values.items()],
            [ours.floats("x", ("rows", 300))],
            [ours.floats("y", None)],
        ),
        ir_version=10,
        opsets={"": 20, "com.microsoft": 1},
    )
    graph = helper.make_graph(
        [helper.make_node("Anything", ["x", "weight"], ["y"], domain="com.microsoft", **attributes)],
        "graph",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["rows", 300])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    read, expected = onnx.load_model_from_string(content), helper.make_model(graph, opset_imports=opsets, ir_version=10)
    for node in (*read.graph.node, *expected.graph.node):
        node.attribute.sort(key=lambda one: one.name)
    assert read == expected


def test_numbers_of_another_type_are_refused() -> None:
    with pytest.raises(KeyError, match="float64"):
        ours.tensor("wide", np.zeros(3))
