"""Settings are read once; a wrong one is named, a secret one is never shown."""

import dataclasses
from pathlib import Path

import pytest

from projectone.errors import SettingsError
from projectone.server.settings import PUBLIC_HUB_URL, ServerSettings


def read(**variables: str) -> ServerSettings:
    return ServerSettings.from_env({f"PROJECTONE_SERVER_{name}": value for name, value in variables.items()})


def test_everything_has_a_default() -> None:
    settings = ServerSettings.from_env({"HOME": "/home-of-somebody"})
    assert settings.home == Path("/home-of-somebody/.local/share/projectone-server")
    assert settings.database_url == f"sqlite:///{settings.home}/projectone.sqlite"
    assert settings.public_url == "http://127.0.0.1:8700"
    assert settings.hub_endpoint == settings.own_hub_url == "http://127.0.0.1:8701"
    assert settings.training == {}


def test_addresses_follow_their_ports() -> None:
    settings = read(API_PORT="9000", HUB_PORT="9001", API_HOST="0.0.0.0")
    assert (settings.public_url, settings.hub_endpoint) == ("http://127.0.0.1:9000", "http://127.0.0.1:9001")


def test_a_family_sees_its_own_repository_base_and_line_of_releases() -> None:
    settings = read(
        INTENTS_DATA="intents.jsonl", INTENTS_GOLDEN="golden.jsonl", CHANNEL="beta", TIERS="int8", GOLDEN="g"
    )
    intents = settings.of_family("intents")
    assert (intents.family, intents.channel, intents.golden) == ("intents", "beta.intents", "golden.jsonl")
    assert (intents.hub_repo, intents.base, intents.tiers) == ("projectone/intents", "minilm", ())
    assert settings.of_family("speech") is settings
    assert (settings.families, read().families) == (("speech", "intents"), ("speech",))


def test_a_channel_cannot_be_called_like_the_line_of_a_family() -> None:
    with pytest.raises(SettingsError, match=r"CHANNEL.*does not end with the name of a family"):
        read(CHANNEL="stable.intents")


def test_an_empty_hub_endpoint_means_the_public_hub() -> None:
    assert read(HUB_ENDPOINT="").hub_endpoint == PUBLIC_HUB_URL


def test_keys_are_taken_from_the_home_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "hub-token").write_text("hf_secret\n")
    settings = read(
        HOME=str(tmp_path),
        ENROLMENT_CODE="code-secret",
        DATABASE_URL="postgresql://u:db-secret@h/d",
        SLACK_WEBHOOK_URL="https://hooks/slack-secret",
        SMTP_URL="smtp://u:smtp-secret@h",
    )
    assert (settings.hub_token, settings.enrolment_code) == ("hf_secret", "code-secret")
    assert "secret" not in repr(settings)


def test_no_planted_secret_is_shown_by_settings_or_by_their_errors() -> None:
    """Each secret in the settings' own words, in an error about it, and, the control, where nobody left it out."""
    secrets = [field for field in dataclasses.fields(ServerSettings) if not field.repr]
    n_looks, shown_by_control = 0, 0
    for number, field in enumerate(secrets):
        variable, mark = field.metadata["variable"], f"planted{number}secret"
        value = f"https://user:{mark}-of-sixteen-letters@example.org/x"
        texts = []
        try:
            settings = ServerSettings.from_env({variable: value})
        except SettingsError as error:
            texts.append(str(error))
        else:
            texts += [repr(settings), str(settings)]
            shown_by_control += mark in repr(dataclasses.asdict(settings))
        n_looks += len(texts)
        assert not any(mark in text for text in texts), variable
    assert n_looks >= 10
    assert shown_by_control >= 5


def test_training_settings_are_handed_on_by_their_names() -> None:
    settings = read(TRAINING_EPOCHS="3", TRAINING_LEARNING_RATE="1e-4", TRAINING_ENGINE="transformers")
    assert settings.training == {"epochs": 3, "learning_rate": 1e-4, "engine": "transformers"}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("API_PORT", "99999", "expected 0 to 65535, got '99999'"),
        ("API_PORT", "x", "expected a whole number from 0 to 65535, got 'x'"),
        ("SCHEDULE_DAYS", "soon", "expected a number from 0 to 3650, got 'soon'"),
        ("SCHEDULE_DAYS", "nan", "expected 0 to 3650"),
        ("PUBLIC_URL", "ftp://x", "expected an address"),
        ("TRAINING_ENGINE", "jax", "expected one of mlx, transformers"),
        ("TRAINING_TRAINABLE", "some", "expected one of all, decoder"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected) as caught:
        read(**{name: value})
    assert f"PROJECTONE_SERVER_{name}" in str(caught.value)


def test_a_wrong_secret_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        read(SLACK_WEBHOOK_URL="hooks.slack/very-secret")
    assert "very-secret" not in str(caught.value)
