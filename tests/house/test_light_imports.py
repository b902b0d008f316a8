"""An import loads what was asked for, and mlx never comes before its BLAS."""

import subprocess
import sys

import pytest


def loaded_by(statement: str) -> set[str]:
    program = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import projectone", {"pydantic", "numpy", "mlx"}),
        ("import projectone.contracts.releases", {"numpy", "mlx", "sqlite3"}),
        ("import projectone.device.cli", {"pydantic", "numpy", "httpx2", "sqlite3", "mlx"}),  # help comes at once
        (
            "import projectone.device.cli.commands",
            {"mlx", "httpx2", "numpy.ma", "tokenizers", "fastapi", "sqlalchemy", "langgraph"},
        ),
        (
            "import projectone.assist.classifiers",
            {"mlx.core", "onnx", "onnxruntime", "sqlite3"},
        ),  # a device without mlx
        ("import projectone.server.cli", {"mlx", "langgraph", "fastapi", "huggingface_hub"}),
        ("import projectone.server.serve.processes", {"mlx", "langgraph", "huggingface_hub", "torch"}),
    ],
)
def test_an_import_stays_light(statement: str, absent: set[str]) -> None:
    assert loaded_by(statement) & absent == set()


@pytest.mark.parametrize(
    "module", ["projectone.speech.whisper", "projectone.server.training", "projectone.assist.encoder.bert"]
)
def test_the_blas_is_loaded_before_mlx(module: str) -> None:
    modules = list(loaded_by(f"import {module}"))
    assert "mlx.core" in modules
    # sys.modules keeps the order of loading, so ask for it in order.
    program = f"import sys\nimport {module}\nnames = list(sys.modules)\n"
    program += "assert names.index('projectone.speech.blas') < names.index('mlx.core'), 'mlx came first'"
    subprocess.run([sys.executable, "-c", program], check=True)
