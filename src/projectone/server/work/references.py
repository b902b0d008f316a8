"""What a person calls a model, to the folder that holds it."""

from __future__ import annotations

import re
from pathlib import Path

from projectone.contracts.versions import DEFAULT_FAMILY
from projectone.errors import SettingsError
from projectone.server.database import open_engine
from projectone.server.delivery.ledger import Ledger
from projectone.server.home import require_home
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.pipeline.models import ModelFolders
from projectone.server.settings import ServerSettings
from projectone.server.work.encoders import resolve_encoder
from projectone.speech.checkpoint import WEIGHTS

STARTER, PRODUCTION = "starter", "production"
_HUB_NAME = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(@(?P<revision>[\w./-]{1,200}))?")


def resolve_model(reference: str, settings: ServerSettings) -> Path:
    """The folder of a model.

    Args:
        reference: ``starter`` for the model in this repository; ``production`` for what devices get now; a folder in
            the Hugging Face layout; or ``owner/name``, ``owner/name@revision`` on the configured Hub. A Hub model is
            fetched once, into the server's home, and the same bytes are used from then on: name a revision to move on.
        settings: Home and Hub.

    Raises:
        SettingsError: if there is no such folder and the reference is no Hub name.
        TransportError: if the Hub could not be reached; RegistryError if it refused.
        ArtifactError: if what came is not what the Hub lists.
    """
    if settings.family != DEFAULT_FAMILY:
        return _production(settings) if reference == PRODUCTION else resolve_encoder(reference)
    if reference == STARTER:  # first: a checkout's root has a folder of that name, which holds the training script
        return _starter()
    if reference == PRODUCTION:
        return _production(settings)
    folder = Path(reference).expanduser()
    if folder.is_dir():
        return folder
    match = _HUB_NAME.fullmatch(reference)
    if match is None or reference.startswith((".", "/", "~")):
        raise SettingsError(
            f"model {reference!r}: there is no such folder; expected a folder, {STARTER!r}, "
            f"{PRODUCTION!r} or 'owner/name[@revision]'"
        )
    return _from_hub(match["repo"], match["revision"], settings)


def _starter() -> Path:
    """The model that the repository carries."""
    # src/projectone/server/work/references.py: the root is four folders up from this one.
    folder = Path(__file__).resolve().parents[4] / "models" / STARTER
    if not (folder / WEIGHTS).is_file():
        raise SettingsError(
            f"model {STARTER!r}: no {WEIGHTS} in {folder}; run from a checkout of the repository, or name a folder"
        )
    return folder


def _production(settings: ServerSettings) -> Path:
    """The newest release of the channel, from the server's own store."""
    require_home(settings)
    engine = open_engine(settings.database_url)
    try:
        upgrade_database(engine)
        newest = Ledger(engine, public_url=settings.public_url).newest(settings.channel)
    finally:
        engine.dispose()
    if newest is None:
        raise SettingsError(f"model {PRODUCTION!r}: nothing is released on channel {settings.channel!r} yet")
    return ModelFolders(settings.home / "models").find(newest.manifest.weights_sha256)


def _from_hub(repo_id: str, revision: str | None, settings: ServerSettings) -> Path:
    name = f"{repo_id}@{revision or 'main'}".replace("/", "--")
    folder = settings.home / "bases" / name
    if not folder.is_dir():
        from projectone.server.registry.hub import HubRegistry  # only here: the client takes a second to import

        # The token opens our own Hub and, as every Hub client does, travels to the one that is configured.
        registry = HubRegistry(settings.hub_endpoint, settings.hub_token or None, repo_id)
        registry.fetch_foreign(revision, folder)
    return folder
