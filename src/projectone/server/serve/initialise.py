"""`projectone-server init`: make the server's home. What is there already stays as it is."""

from __future__ import annotations

import argparse
import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from projectone.errors import StorageError
from projectone.server.database import open_engine
from projectone.server.delivery.roles import CURRENT, FIRST_ROOT, ROLE_KEYS, ROOT_KEYS
from projectone.server.delivery.signing import load_signer, new_key
from projectone.server.home import RELEASE_KEY, open_keys, require_settled
from projectone.server.hubd.auth import issue_token
from projectone.server.hubd.repos import HubStore
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.registry.provenance import is_available, make_provenance_key
from projectone.server.settings import ServerSettings
from projectone.storage.files import fsync_folder, make_folder, write_atomically

SUMMARY = "Make the server's home: folders, database, release key, master key, Hub token, enrolment code."
EXAMPLES = (
    "  projectone-server init\n"
    "  PROJECTONE_SERVER_HOME=/srv/projectone projectone-server init --json\n\n"
    "It may be repeated: keys and codes that are there stay."
)

FOLDERS = ("blobs", "packages", "models", "runs", "quarantine", "hub", "logs", "staging")
ENROLMENT_CODE = "enrolment-code"
HUB_TOKEN = "hub-token"
_HUB_USER = "trainer"


@dataclass(frozen=True, kw_only=True)
class Home:
    """What a device and an operator have to know of a server."""

    home: str
    server_url: str
    enrolment_code: str
    release_public_key: str
    release_root: str
    release_root_file: str
    root_keys_folder: str
    n_root_keys_here: int
    hub_url: str
    hub_token_file: str
    database_revision: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `--json`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Make the home and say what a device needs."""
    made = initialise(settings)
    if arguments.json:
        print(json.dumps(asdict(made)))
        return 0
    print(f"The server's home is {made.home} (database revision {made.database_revision}).\n")
    print("A device needs these four:")
    print(f"  export PROJECTONE_SERVER={made.server_url}")
    print(f"  export PROJECTONE_ENROLMENT_CODE={made.enrolment_code}")
    print(f"  export PROJECTONE_RELEASE_KEY={made.release_public_key}")
    print(f"  export PROJECTONE_RELEASE_ROOT={made.release_root_file}  # on another machine: a copy of it\n")
    if made.n_root_keys_here:
        print(
            f"Take the {made.n_root_keys_here} root keys in {made.root_keys_folder} away, each to a place of its own;"
        )
        print("two of them name new keys when one is stolen, and nothing else does (docs/releases.md).\n")
    print("Next: projectone-server serve")
    return 0


def initialise(settings: ServerSettings) -> Home:
    """Folders, tables, keys; gives what a device has to be told. Harmless when repeated.

    Raises:
        StorageError: if the disk or the database refused, or newer code wrote the rows.
        SettingsError: if a key file holds something else, or a restore was cut off here.
    """
    require_settled(settings)
    keys = settings.keys_folder
    try:
        for folder in (settings.home, *(settings.home / name for name in FOLDERS), keys):
            make_folder(folder, mode=0o700)  # voices: nobody else's business
        for folder in (settings.home, keys):
            folder.chmod(0o700)  # one that was there keeps its mode otherwise
        # A power cut must not take the folder from around what is acknowledged later; again, if a kill came between.
        for folder in {settings.home.parent, settings.home, keys.parent}:
            fsync_folder(folder)
    except OSError as error:
        raise StorageError(f"{settings.home}: could not be made: {error}") from error
    engine = open_engine(settings.database_url)
    try:
        revision = upgrade_database(engine)
        _keep_secret(keys / RELEASE_KEY, new_key)
        open_keys(settings, can_open=False).close()
        _keep_secret(keys / ENROLMENT_CODE, lambda: settings.enrolment_code.encode() or _new_code())
        if is_available():  # without the extra `provenance`, models are published without a signature
            make_provenance_key(keys)
        store = HubStore(engine, settings.home / "hub")
        owner = settings.hub_repo.partition("/")[0]
        _keep_secret(keys / HUB_TOKEN, lambda: issue_token(store, _HUB_USER, "write", [_HUB_USER, owner]).encode())
        root = _first_root(settings)
    finally:
        engine.dispose()
    root_keys = keys / ROLE_KEYS / ROOT_KEYS
    return Home(
        home=str(settings.home),
        server_url=settings.public_url,
        enrolment_code=with_secrets(settings).enrolment_code,
        release_public_key=load_signer(keys / RELEASE_KEY).public_key,
        release_root=base64.b64encode(root).decode(),
        release_root_file=str(settings.home / FIRST_ROOT),
        root_keys_folder=str(root_keys),
        n_root_keys_here=len(list(root_keys.glob("*.key"))),
        hub_url=settings.hub_endpoint,
        hub_token_file=str(keys / HUB_TOKEN),
        database_revision=revision,
    )


def _first_root(settings: ServerSettings) -> bytes:
    """The root that devices carry; made with its keys, and an empty list of releases under it, the first time."""
    if not (settings.home / FIRST_ROOT).exists() or not (settings.home / CURRENT).exists():
        # Only here: the library takes a while to import.
        from projectone.server.delivery.opening import open_ceremonies, open_publisher

        open_ceremonies(settings.home, settings.keys_folder).begin()
        open_publisher(settings.home, settings.keys_folder, release_days=settings.release_days).renew()
    return (settings.home / FIRST_ROOT).read_bytes()


def with_secrets(settings: ServerSettings) -> ServerSettings:
    """Settings read before `initialise` ran, with the secrets that it made."""
    keys = settings.keys_folder
    return replace(
        settings,
        enrolment_code=settings.enrolment_code or (keys / ENROLMENT_CODE).read_text().strip(),
        hub_token=settings.hub_token or (keys / HUB_TOKEN).read_text().strip(),
    )


def _new_code() -> bytes:
    return secrets.token_urlsafe(18).encode()


def _keep_secret(path: Path, make: Callable[[], bytes]) -> None:
    """Write a secret once; its folder is closed to others before it appears."""
    if not path.exists():
        write_atomically(path, make())
        path.chmod(0o600)
