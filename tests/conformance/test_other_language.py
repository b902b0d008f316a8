"""The vectors, read by a program in another language that shares no line with ours; and by one that is told lies."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.make_vectors import FOLDER, TOPICS

CHECK = Path(__file__).parent / "other_language" / "check.mjs"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed: the second reader is in JavaScript")


def check(folder: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """Its exit status, and for each topic what agreed."""
    assert NODE is not None
    done = subprocess.run([NODE, str(CHECK), str(folder)], capture_output=True, text=True, timeout=120, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert not done.stderr
    return done.returncode, {line["topic"]: line for line in lines}


def test_a_reader_that_knows_the_vectors_alone_agrees_with_every_case() -> None:
    status, found = check(FOLDER)
    assert status == 0
    assert found.pop("updates")["same"] == len(list((FOLDER / "updates").glob("*/*.json")))
    assert set(found) == {topic.name for topic in TOPICS}
    for topic in TOPICS:
        assert found[topic.name]["same"] == found[topic.name]["cases"] == len(topic.cases)


def test_the_reader_believes_no_lie(tmp_path: Path) -> None:
    told = Path(shutil.copytree(FOLDER, tmp_path / "vectors"))
    for topic in TOPICS:
        document = json.loads((told / f"{topic.name}.json").read_text())
        for case in document["cases"]:
            case["expected"] |= {"lie": True}
        (told / f"{topic.name}.json").write_text(json.dumps(document))
    for path in (told / "updates").glob("*/*.json"):
        vector = json.loads(path.read_text())
        vector["expected"]["seq"] += 1
        path.write_text(json.dumps(vector))
    status, found = check(told)
    assert status == 1
    assert {said["same"] for said in found.values()} == {0}
