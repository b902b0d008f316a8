"""The workflows as far as Linux can try them: what they may do, and the steps of `convert.yml` themselves."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from tests.conftest import REPOSITORY
from tests.fakes.tiny_whisper import save_tiny

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
CONVERT = REPOSITORY / ".github" / "workflows" / "convert.yml"
COMMIT = "0123456789abcdef" * 2 + "01234567"


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]]


def test_every_foreign_action_is_pinned_to_a_commit_and_says_which_version() -> None:
    used = [line for path in WORKFLOWS for line in path.read_text().splitlines() if "uses:" in line]
    assert len(used) > 8
    odd = [
        line.strip() for line in used if not re.search(r"uses: actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)
    ]
    assert odd == []


def test_no_workflow_may_write_and_no_script_contains_what_strangers_wrote() -> None:
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        granted = [workflow["permissions"], *(job.get("permissions", {}) for job in workflow["jobs"].values())]
        assert all(value == "read" for grant in granted for value in grant.values()), path.name
        assert not [step["run"] for step in steps(path) if "${{" in step.get("run", "")], path.name


def test_a_push_and_a_person_may_start_the_conversion_and_nobody_else() -> None:
    # YAML 1.1 reads the key `on` as true.
    triggers = yaml.safe_load(CONVERT.read_text())[True]
    assert set(triggers) == {"repository_dispatch", "workflow_dispatch"}
    assert triggers["repository_dispatch"] == {"types": ["hub-model-pushed"]}


@pytest.mark.parametrize(
    ("repo_id", "revision", "is_fine"),
    [
        ("acme/whisper", COMMIT, True),
        ("acme/whisper", "main", False),
        ("acme/whisper; id", COMMIT, False),
        ("$(id)/x", COMMIT, False),
        ("../../etc", COMMIT, False),
        ("acme/whisper\nacme/x", COMMIT, False),
        ("", "", False),
    ],
)
def test_the_step_that_checks_what_was_asked_for_lets_nothing_odd_through(
    repo_id: str, revision: str, is_fine: bool
) -> None:
    (check,) = [step for step in steps(CONVERT) if step.get("name") == "Check what was asked for"]
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", check["run"]],
        env={"PATH": os.environ["PATH"], "REPO_ID": repo_id, "REVISION": revision},
        capture_output=True,
        check=False,
    )
    assert (done.returncode == 0) is is_fine


@pytest.mark.slow
def test_the_linux_steps_make_packages_that_can_be_told_by_their_digests(tmp_path: Path) -> None:
    pytest.importorskip("coremltools", reason="needs the extra coreml")
    (convert,) = [step for step in steps(CONVERT) if step.get("name") == "Convert"]
    assert convert["run"] == 'bash .ci/convert "$REPO_ID@$REVISION" out'
    save_tiny(tmp_path / "model")
    subprocess.run(
        ["bash", REPOSITORY / ".ci" / "convert", tmp_path / "model", tmp_path / "out"],
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        check=True,
    )
    names = ["coreml-float16", "coreml-int8", "int4", "int8"]
    listed = dict(reversed(line.split()) for line in (tmp_path / "out" / "SHA256SUMS").read_text().splitlines())
    assert sorted(listed) == [f"{name}.zip" for name in names]
    for name in names[:2]:
        manifest = json.loads((tmp_path / "out" / name / "whisperkit.json").read_text())
        with zipfile.ZipFile(tmp_path / "out" / f"{name}.zip") as archive:
            assert set(archive.namelist()) == {*manifest["files"], "whisperkit.json"}
