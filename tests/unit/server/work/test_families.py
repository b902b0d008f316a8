from argparse import ArgumentParser

import pytest

from projectone.errors import SettingsError
from projectone.server.settings import ServerSettings
from projectone.server.work.families import add_family, settings_of, trained_settings_of


def test_a_family_that_is_not_trained_here_can_be_looked_at_but_not_asked_for() -> None:
    parser = ArgumentParser()
    add_family(parser)
    settings = ServerSettings.from_env({"HOME": "/home-of-somebody"})
    asked = parser.parse_args(["--family", "intents"])
    assert settings_of(asked, settings).channel == "stable.intents"
    with pytest.raises(SettingsError, match="INTENTS_DATA"):
        trained_settings_of(asked, settings)
    assert trained_settings_of(parser.parse_args([]), settings) is settings


def test_no_run_teaches_a_safety_classifier_and_whoever_asks_is_told_what_does() -> None:
    parser = ArgumentParser()
    add_family(parser)
    asked = parser.parse_args(["--family", "safety"])
    settings = ServerSettings.from_env({"HOME": "/home-of-somebody", "PROJECTONE_SERVER_SAFETY_GOLDEN": "held.jsonl"})
    with pytest.raises(SettingsError, match="publish --family safety"):
        trained_settings_of(asked, settings)
    own = settings_of(asked, settings)
    assert (own.channel, own.golden, own.hub_repo) == ("stable.safety", "held.jsonl", "projectone/safety")


def test_the_worker_looks_after_each_family_that_is_released_here() -> None:
    def of(**variables: str) -> tuple[str, ...]:
        given = {f"PROJECTONE_SERVER_{name}": value for name, value in variables.items()}
        return ServerSettings.from_env({"HOME": "/home-of-somebody", **given}).families

    assert of() == ("speech",)
    assert of(INTENTS_DATA="a.jsonl") == ("speech", "intents")
    assert of(SAFETY_GOLDEN="b.jsonl") == ("speech", "safety")
    assert of(INTENTS_DATA="a.jsonl", SAFETY_GOLDEN="b.jsonl") == ("speech", "intents", "safety")
