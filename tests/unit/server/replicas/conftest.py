"""Tiny models of every kind, in folders and loaded."""

from __future__ import annotations

import json

import pytest
from tests.fakes.device_intents import tiny_intents
from tests.fakes.tiny_bert import tiny_bert
from tests.fakes.tiny_whisper import save_tiny

from projectone.assist.encoder.bert_files import CONFIG, write_bert
from projectone.server.replicas.asking import LocalModels
from projectone.server.replicas.models import TEMPLATES, ModelPlaces


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> ModelPlaces:
    folder = tmp_path_factory.mktemp("served")
    (folder / "encoder").mkdir()
    write_bert(folder / "encoder", tiny_bert())
    (folder / "encoder" / CONFIG).write_text(json.dumps(tiny_bert().config.to_json()))
    return ModelPlaces(
        classifier=tiny_intents(folder / "intents"),
        encoder=folder / "encoder",
        generator=TEMPLATES,
        speech=save_tiny(folder / "speech"),
    )


@pytest.fixture(scope="session")
def local(places: ModelPlaces) -> LocalModels:
    models = LocalModels(places)
    models.warm_up()
    return models
