"""The option `--family`: which kind of model a command is about."""

from __future__ import annotations

import argparse

from projectone.contracts.versions import DEFAULT_FAMILY, FAMILIES
from projectone.errors import SettingsError
from projectone.server.settings import ServerSettings


def add_family(parser: argparse.ArgumentParser) -> None:
    """Declare it."""
    parser.add_argument(
        "--family",
        choices=FAMILIES,
        default=DEFAULT_FAMILY,
        help="which models: of speech, classifiers of intents, or safety classifiers (default %(default)s)",
    )


def settings_of(arguments: argparse.Namespace, settings: ServerSettings) -> ServerSettings:
    """The server as the family that was named sees it."""
    return settings.of_family(arguments.family)


def trained_settings_of(arguments: argparse.Namespace, settings: ServerSettings) -> ServerSettings:
    """The same, for what needs a family that is trained here.

    Raises:
        SettingsError: if it is not.
    """
    if arguments.family == "safety":
        raise SettingsError(
            "--family safety: no run teaches a safety classifier, as nobody sends what it warned of wrongly; teach one "
            "with `assist train --alarm LABEL`, and `publish --family safety` has the gate judge it"
        )
    if arguments.family not in settings.families:
        raise SettingsError("--family intents: no classifier is trained here; set PROJECTONE_SERVER_INTENTS_DATA")
    return settings_of(arguments, settings)
