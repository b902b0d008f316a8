"""What is published is what lies in the folder that was named."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.fakes.device_intents import tiny_intents

from projectone.contracts.versions import ModelVersion
from projectone.errors import ArtifactError
from projectone.server.pipeline.models import ModelFolders
from projectone.server.settings import ServerSettings
from projectone.server.work.publish import publish, why_unreleased


def test_a_classifier_that_was_edited_beside_its_weights_is_not_published(tmp_path: Path) -> None:
    folder = tiny_intents(tmp_path / "model")
    settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(tmp_path / "home")}).of_family("intents")
    models = ModelFolders(tmp_path / "models")
    models.keep_copy(folder)  # the same weights are known already, with what belonged to them
    facts = json.loads((folder / "classifier.json").read_bytes())
    (folder / "classifier.json").write_text(json.dumps({**facts, "threshold": 0.5}))
    workshop: Any = SimpleNamespace(settings=settings, models=models)
    with pytest.raises(ArtifactError, match="not the one that these weights were written with"):
        publish(workshop, cast(Any, None), str(folder), ModelVersion.parse("9.0.0"))


@pytest.mark.parametrize("verdict", [None, {"decision": "hold", "reasons": ["too few texts"]}])
def test_of_a_proposal_that_was_given_up_nobody_is_asked(verdict: dict[str, Any] | None) -> None:
    told = {"version": "1.1.0", "seq": None, "run_id": "r1", "verdict": verdict, "reason": "three attempts"}
    given_up = why_unreleased({**told, "state": "failed"})
    assert "run r1 ended as 'failed', three attempts" in given_up
    assert "approve" not in given_up
    if verdict is not None:
        assert "work approve r1" in why_unreleased({**told, "state": "waiting"})
