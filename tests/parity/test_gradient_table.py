"""Both engines against transformers and peft, every trained tensor; and that the page in the docs says so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from projectone.server.training.config import Method

pytest.importorskip("peft", reason="parity needs the parity extra (torch, transformers, peft)")

from tests.parity.gradient_table import PAGE, TOLERANCE, rows_of

pytestmark = [
    pytest.mark.parity,
    # peft asks transformers for an attribute under its old name.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_every_trained_tensor_of_both_engines_has_their_gradient_and_its_line_on_the_page(
    method: Method, tmp_path: Path
) -> None:
    rows = rows_of(method, tmp_path)
    assert {row.kind: row.errors for row in rows if max(row.errors.values()) >= TOLERANCE} == {}
    section = PAGE.read_text(encoding="utf-8").split("\n## ")[1 if method == "full" else 2]
    said = {kind: int(n) for kind, n in re.findall(r"^\| `([^`]+)` \| (\d+) \|", section, re.MULTILINE)}
    assert said == {row.kind: row.n_tensors for row in rows}
    assert all(float(error) < TOLERANCE for error in re.findall(r"\d\.\de-\d+", section))
