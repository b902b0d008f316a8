"""The files of `deploy/` ask for commands that exist, and ask a scheduler to start them again when they say so."""

from __future__ import annotations

import argparse
import importlib
import json
import shlex

import pytest
import yaml
from tests.conftest import REPOSITORY

from projectone.server.work import job, resumable

FILES = ("skypilot-job.yaml", "ray-job.json")


def asked(name: str) -> list[str]:
    """The words of `projectone-server` in a file."""
    content = (REPOSITORY / "deploy" / name).read_text()
    found = json.loads(content)["entrypoint"] if name.endswith(".json") else yaml.safe_load(content)["run"]
    line = next(line for line in found.splitlines() if "projectone-server" in line)
    return shlex.split(line[line.index("projectone-server") :])[1:]


@pytest.mark.parametrize("name", FILES)
def test_the_command_of_a_file_is_one_that_can_go_on(name: str) -> None:
    words = asked(name)
    assert words[0] == "job"
    parser = argparse.ArgumentParser(exit_on_error=False)
    job.add_arguments(parser)
    parsed = parser.parse_args(words[1:])
    work = resumable.resumed(parsed.work)
    inner = argparse.ArgumentParser(exit_on_error=False)
    importlib.import_module(resumable.RESUMABLE[work[0]].module).add_arguments(inner)
    assert inner.parse_args(work[1:]).json


def test_a_spot_machine_is_asked_for_and_the_exit_code_that_means_again_is_known() -> None:
    task = yaml.safe_load((REPOSITORY / "deploy" / "skypilot-job.yaml").read_text())
    assert task["resources"]["use_spot"] is True
    assert task["resources"]["job_recovery"]["recover_on_exit_codes"] == [resumable.EXIT_AGAIN]


def test_ray_takes_the_file_as_it_is() -> None:
    common = pytest.importorskip("ray.dashboard.modules.job.common", reason="Ray is not installed: make ray")
    request = common.JobSubmitRequest(**json.loads((REPOSITORY / "deploy" / "ray-job.json").read_text()))
    assert request.entrypoint.startswith("projectone-server job")
