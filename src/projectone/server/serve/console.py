"""`projectone-server console`: pages on which reviewers listen, read and decide."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import uvicorn

from projectone.contracts.base import sha256_hex
from projectone.errors import DataError, SettingsError
from projectone.server.audit import record
from projectone.server.console.app import ConsoleServices, create_console
from projectone.server.console.identity import Provider
from projectone.server.console.sessions import Sessions
from projectone.server.corpus.clips import read_clip
from projectone.server.corpus.review import Reviews
from projectone.server.database import Engine, open_engine, writing
from projectone.server.decisions import DecisionDesk, DecisionReader, Sound, open_approvals
from projectone.server.delivery.ledger import Ledger
from projectone.server.devices.operators import OperatorTokens
from projectone.server.home import open_catalog, require_home
from projectone.server.logs import logging_to
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.monitoring.drift_desk import DriftDesk
from projectone.server.monitoring.evidence import Limits
from projectone.server.rollout_desk import RolloutDesk
from projectone.server.runs import Runs
from projectone.server.settings import ServerSettings
from projectone.storage.blobs import FileBlobs

SUMMARY = (
    "The reviewers' console: what waits for a person, its words, its sound, and a decision that is kept with a name. "
    "It holds the key that opens samples, so it listens on this machine; put TLS in front to reach it from elsewhere."
)
EXAMPLES = """\
  projectone-server tokens create ada --role reviewer
  projectone-server console                                        http://localhost:8702
  projectone-server console --name review.example.org              behind a proxy that speaks TLS under this name
  PROJECTONE_SERVER_OIDC_ISSUER=https://login.example.org PROJECTONE_SERVER_OIDC_CLIENT_ID=projectone \\
    projectone-server console --name review.example.org            people sign in there; it sends them back to
                                                                   https://review.example.org/sign-in/back"""

_HOST, _PORT = "127.0.0.1", 8702


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare port and name."""
    parser.add_argument("--port", type=int, default=_PORT, help=f"on this machine alone (default {_PORT})")
    parser.add_argument("--name", action="append", default=[], help="host name that a proxy passes on; may be repeated")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Serve until Ctrl-C."""
    if not 1 <= arguments.port <= 65535:
        raise SettingsError(f"--port: expected 1 to 65535, got {arguments.port}")
    require_home(settings)
    engine = open_engine(settings.database_url)
    try:
        upgrade_database(engine)
        hosts = {f"localhost:{arguments.port}", f"127.0.0.1:{arguments.port}", *arguments.name}
        own_url = f"https://{arguments.name[0]}" if arguments.name else f"http://localhost:{arguments.port}"
        app = create_console(console_services(settings, engine, own_url=own_url), hosts)
        print(f"projectone-server: console on http://localhost:{arguments.port}", file=sys.stderr, flush=True)
        with logging_to(sys.stderr, has_requests=False), suppress(KeyboardInterrupt):
            uvicorn.run(
                app,
                host=_HOST,
                port=arguments.port,
                lifespan="off",
                access_log=False,
                server_header=False,
                log_config=None,
                proxy_headers=False,
            )
    finally:
        engine.dispose()
    return 0


def console_services(
    settings: ServerSettings,
    engine: Engine,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    *,
    own_url: str = f"http://localhost:{_PORT}",
) -> ConsoleServices:
    """Everything behind the pages, which browsers find at `own_url`."""
    catalog, blobs = open_catalog(settings, engine), FileBlobs(settings.home / "blobs")
    reviews = Reviews(engine, catalog.vault)

    def open_clip(sample_id: UUID, by: str) -> bytes:
        """Only of what waits for a person: the console is no way to everything else."""
        clip_sha256 = reviews.held_clip(sample_id)
        if clip_sha256 is None:
            raise DataError("not-held", f"sample {sample_id}: does not wait for a person")
        with writing(engine) as connection:  # before anybody hears it
            record(connection, "clip-opened", sample_id, by=by, now=clock())
        return read_clip(catalog, blobs, clip_sha256)

    reader = DecisionReader(
        engine,
        home=settings.home,
        golden=None if settings.golden is None else Path(settings.golden),
        golden_key=settings.keys_folder / "golden.key",
        tiers=settings.tiers,
        catalog=catalog,
    )
    approvals = open_approvals(engine, settings.channel)

    def open_golden(clip_id: str, by: str) -> Sound:
        """On the record before anybody hears it, under a digest: the names of recordings may be anything."""
        sound = reader.play(clip_id)
        with writing(engine) as connection:
            record(connection, "clip-opened", sha256_hex(clip_id.encode()), by=by, now=clock())
        return sound

    return ConsoleServices(
        reviews=reviews,
        open_clip=open_clip,
        sessions=Sessions(OperatorTokens(engine), clock),
        clock=clock,
        provider=_provider_of(settings, own_url, clock),
        decisions=DecisionDesk(runs=Runs(engine), reader=reader, approvals=approvals, open_golden=open_golden),
        drift=DriftDesk(engine, channel=settings.channel, clock=clock),
        rollout=_rollout_desk(settings, engine, clock),
        other_rollouts={
            family: _rollout_desk(settings.of_family(family), engine, clock)
            for family in settings.families
            if family != settings.family
        },
    )


def _rollout_desk(settings: ServerSettings, engine: Engine, clock: Callable[[], datetime]) -> RolloutDesk:
    limits = Limits(alpha=settings.rollout_alpha)
    return RolloutDesk(
        engine,
        Ledger(engine),
        channel=settings.channel,
        limits=limits,
        least_reports=settings.rollout_reports,
        clock=clock,
    )


def _provider_of(settings: ServerSettings, own_url: str, clock: Callable[[], datetime]) -> Provider | None:
    if settings.oidc_issuer is None:
        return None
    if settings.oidc_client_id is None:
        raise SettingsError("PROJECTONE_SERVER_OIDC_CLIENT_ID: expected what the provider calls this console, got none")
    from projectone.server.console.openid import (  # the extra `oidc`: asked for here alone
        OpenIdProvider,
        OpenIdSettings,
    )

    about = OpenIdSettings(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret,
        redirect_url=f"{own_url}/sign-in/back",
    )
    return OpenIdProvider(about, clock)
