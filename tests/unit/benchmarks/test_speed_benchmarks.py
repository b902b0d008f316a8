"""The benchmarks run where nothing but the project is installed, and say what they left out."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from tests.conftest import REPOSITORY


def result_of(name: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, f"benchmarks/{name}.py", "--quick", "--json", "--no-peers", *arguments]
    child = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True, timeout=300)
    result: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize(
    ("name", "arguments"), [("features", []), ("decode", ["--size", "starter"]), ("train", ["--size", "starter"])]
)
def test_a_benchmark_without_peers_reports_our_own_time_and_names_them(name: str, arguments: list[str]) -> None:
    result = result_of(name, *arguments)
    assert result["name"] == name
    assert result["ratios"] == {}
    assert "transformers" in " ".join(result["left_out"])
    assert result["conditions"]["threads"] == 1
