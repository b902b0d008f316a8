"""Whether there is a server here to work for, and its keys."""

from __future__ import annotations

from projectone.errors import SettingsError
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.vault import Vault
from projectone.server.database import Engine
from projectone.server.keys import ConsentKeys, open_key_database
from projectone.server.keys.places import open_master_keys
from projectone.server.settings import ServerSettings

RELEASE_KEY = "release.key"

RESTORING = "restoring.json"
"""Below the home: a restore has begun and not ended. What people withdrew may be back until it has."""

NEWEST_CHECKPOINT = "checkpoint.json"
"""Below the home: what was last signed of the audit log, written by the worker and handed out by the API."""

SCRIPT_SHEET = "scripts/sheet.json"
POLICIES = "policies/set.json"
"""Below the home: the signed sentences, written by the worker and handed out by the API."""


def require_home(settings: ServerSettings) -> None:
    """Refuse to work without a home, before rows and keys would be made in a wrong place.

    Raises:
        SettingsError: if `init` never ran for this home, or its release key is gone: devices trust no other one, so
            nothing but `init` makes a key; or if a restore was cut off here.
    """
    require_settled(settings)
    if not settings.keys_folder.is_dir():
        raise SettingsError(
            f"no server at {str(settings.home)!r}: run `projectone-server init`, or set PROJECTONE_SERVER_HOME"
        )
    if not (settings.keys_folder / RELEASE_KEY).is_file():
        raise SettingsError(
            f"{str(settings.keys_folder / RELEASE_KEY)!r}: expected the release key; restore it from the backup. "
            "`projectone-server init` makes a new one, which devices trust once they are told its public half"
        )


def require_settled(settings: ServerSettings) -> None:
    """Refuse a home whose restore was cut off: people who withdrew may be back in it.

    Raises:
        SettingsError: saying how to go on.
    """
    if (settings.home / RESTORING).exists():
        raise SettingsError(
            f"{str(settings.home)!r}: a restore was cut off before what people withdrew was erased again: run the same "
            "`projectone-server restore` once more, it goes on; until then nothing may open this home"
        )


def open_keys(settings: ServerSettings, *, can_open: bool) -> ConsentKeys:
    """The keys of consents, with a master key to wrap them: made if there is none yet.

    Args:
        settings: Say where they lie.
        can_open: Whether this process may read what was sealed; one that only takes samples in may not.

    Raises:
        SettingsError, StorageError: if the store cannot be opened.
    """
    master = open_master_keys(
        settings.master_keys, settings.keys_folder, passphrase=settings.key_passphrase, can_unwrap=can_open
    )
    keys = ConsentKeys(open_key_database(settings.keys_database_url), master)
    keys.ensure_master()
    return keys


def open_catalog(settings: ServerSettings, engine: Engine, *, can_open: bool = True) -> Catalog:
    """The samples of a server; arguments and errors as `open_keys`."""
    return Catalog(engine, Vault(open_keys(settings, can_open=can_open)))
