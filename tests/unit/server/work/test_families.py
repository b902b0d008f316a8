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
