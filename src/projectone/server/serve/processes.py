"""`projectone-server serve`: the API for devices and the Hub for publishers, each on its own port."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import uvicorn

from projectone.contracts.erasures import SignedErasure
from projectone.contracts.signatures import ERASURE, SNAPSHOT, USES
from projectone.errors import SettingsError
from projectone.server.api.app import create_app as create_api
from projectone.server.api.services import Services
from projectone.server.audit import AuditLog, record
from projectone.server.conversion.hub_events import GitHubDispatch, HubEvents
from projectone.server.corpus.clusters import Clusters
from projectone.server.corpus.derived import Derived
from projectone.server.corpus.erasure import Erasures
from projectone.server.corpus.intake import Intake
from projectone.server.corpus.labels import Labels
from projectone.server.corpus.recalls import Recalls
from projectone.server.corpus.retention import keep_withdrawals, sweep
from projectone.server.corpus.review import Reviews
from projectone.server.corpus.sealing import seal_what_lies_open
from projectone.server.corpus.snapshots import Snapshots
from projectone.server.corpus.uses import Uses
from projectone.server.database import Engine, forget_freed_pages, open_engine
from projectone.server.decisions import open_approvals
from projectone.server.delivery.elsewhere import Elsewhere, behind_cdn, in_bucket, nowhere
from projectone.server.delivery.ledger import Ledger
from projectone.server.delivery.roles import SIGNED
from projectone.server.delivery.signing import load_signer
from projectone.server.delivery.tickets import FOLDER as TICKET_KEYS
from projectone.server.delivery.tickets import TicketKeys, Tickets
from projectone.server.delivery.weekly_tickets import WeeklyTickets
from projectone.server.devices.catalog import DeviceCatalog
from projectone.server.devices.operators import OperatorTokens
from projectone.server.home import (
    NEWEST_CHECKPOINT,
    POLICIES,
    RELEASE_KEY,
    SCRIPT_SHEET,
    open_catalog,
    require_home,
)
from projectone.server.hubd.app import create_app as create_hub
from projectone.server.hubd.repos import HubStore
from projectone.server.hubd.settings import HubSettings
from projectone.server.logs import logging_to
from projectone.server.memories.restored import forget_destroyed
from projectone.server.memories.withdrawn import account, forget_withdrawn
from projectone.server.monitoring.quality import QualityCells
from projectone.server.monitoring.reports import HealthReports
from projectone.server.runs import Runs
from projectone.server.sandbox.decode import decode_wav
from projectone.server.serve.alone import serving_alone
from projectone.server.serve.hub import quota_bytes
from projectone.server.serve.initialise import initialise, with_secrets
from projectone.server.serve.public_protocol import protocol_for
from projectone.server.settings import ServerSettings
from projectone.storage.blobs import FileBlobs
from projectone.storage.objects import open_objects
from projectone.storage.room import DiskRoom

SUMMARY = "Answer devices (API) and publishers (Hub), each on its own port."
EXAMPLES = (
    "  projectone-server serve\n"
    "  projectone-server serve --init      make the home first if there is none, as in a fresh container\n"
    "  projectone-server serve --only api --api-port 9000\n"
    "  projectone-server serve --json      a line of JSON with the addresses when it is ready"
)

# The sample header may hold 24 KiB; far longer ones still get a clear answer instead of a cut connection.
_MAX_HEADER_BYTES = 4 * 1024 * 1024
_MAX_CONNECTIONS = 800
_SHUTDOWN_S = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which processes, where, and `--json`."""
    parser.add_argument("--init", action="store_true", help="make the home first, as `init` does, if there is none")
    parser.add_argument("--only", choices=("api", "hub"), help="only one of the two")
    parser.add_argument("--api-port", type=int, help="instead of the setting; 0 takes a free one")
    parser.add_argument("--hub-port", type=int, help="instead of the setting; 0 takes a free one")
    parser.add_argument("--json", action="store_true", help="print one JSON object with the addresses when ready")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Serve until SIGTERM or Ctrl-C; requests that are under way are finished."""
    ports = {"api_port": arguments.api_port, "hub_port": arguments.hub_port}
    settings = replace(settings, **{name: port for name, port in ports.items() if port is not None})
    if not arguments.init:
        require_home(settings)
    initialise(settings)  # what an older version did not make yet; rows to the newest revision
    settings = with_secrets(settings)
    engine = open_engine(settings.database_url)
    try:
        names = [arguments.only] if arguments.only else ["api", "hub"]
        has_requests = settings.log == "requests"
        with serving_alone(settings.home, names) as note, logging_to(sys.stderr, has_requests=has_requests):

            def announce(urls: dict[str, str]) -> None:
                note(urls)
                _announce(urls, is_json=arguments.json)

            asyncio.run(_serve([_server(name, settings, engine) for name in names], announce))
    finally:
        engine.dispose()
    return 0


def api_services(settings: ServerSettings, engine: Engine) -> Services:
    """Everything behind the API; what interrupted uploads and withdrawals left is swept."""
    blobs = FileBlobs(settings.home / "blobs", is_read_soon=False)
    catalog = open_catalog(settings, engine, can_open=False)
    keep_withdrawals(catalog, _now())
    seal_what_lies_open(catalog, blobs)
    sweep(catalog, blobs)
    forget_freed_pages(engine)
    ledger = Ledger(engine, public_url=settings.public_url, packages_url=settings.packages_url)
    derived = Derived(settings.home, catalog, Runs(engine), ledger.released_weights)
    signer = load_signer(settings.keys_folder / RELEASE_KEY)
    snapshots = Snapshots(engine, catalog, blobs, sign=partial(signer.sign, SNAPSHOT), clock=_now)

    recalls = Recalls(engine, Runs(engine), releases=ledger.manifests, retrain=timedelta(days=settings.retrain_days))

    def erase_derived() -> None:
        derived.erase()
        snapshots.reissue_withdrawn()
        recalls.mark()
        forget_withdrawn(engine, catalog.vault.shred, catalog.ended, _now())

    erase_derived()
    forget_destroyed(engine, catalog.vault.shredded, _now())
    erasures = Erasures(
        engine,
        Runs(engine),
        blobs,
        releases=ledger.manifests,
        dates=recalls.dates,
        clock=_now,
        memories=partial(account, engine),
    )

    def erasure(receipt_id: UUID, contributor_id: str) -> SignedErasure | None:
        receipt = erasures.receipt(receipt_id, contributor_id)
        return None if receipt is None else signer.sign(ERASURE, receipt)

    uses = Uses(Runs(engine), snapshots, releases=ledger.manifests, clock=_now)

    return Services(
        catalog=catalog,
        blobs=blobs,
        devices=DeviceCatalog(engine),
        clusters=Clusters(engine),
        operators=OperatorTokens(engine),
        reviews=Reviews(engine, catalog.vault),
        runs=Runs(engine),
        approvals=open_approvals(engine, settings.channel),
        audit=AuditLog(engine),
        tickets=Tickets(engine, TicketKeys(settings.keys_folder / TICKET_KEYS)),
        health=HealthReports(engine),
        weekly_tickets=WeeklyTickets(engine, TicketKeys(settings.keys_folder / TICKET_KEYS)),
        quality=QualityCells(engine),
        intake=Intake(catalog, blobs, decode_wav, _now, Labels(engine).knows),
        ledger=ledger,
        packages=FileBlobs(settings.home / "packages"),
        elsewhere=_elsewhere(settings),
        signed=settings.home / SIGNED,
        staging=settings.home / "staging",
        room=DiskRoom(settings.home, settings.min_free_share),
        enrolment_code=settings.enrolment_code,
        clock=_now,
        erase_derived=erase_derived,
        erasure=erasure,
        uses=lambda sample_id: signer.sign(USES, uses.of(sample_id)),
        scripts=lambda: _content(settings.home / SCRIPT_SHEET),
        policies=lambda: _content(settings.home / POLICIES),
        checkpoint=lambda: _content(settings.home / NEWEST_CHECKPOINT),
        hub_events=_hub_events(settings),
    )


def _elsewhere(settings: ServerSettings) -> Elsewhere:
    """Where devices are sent for packages: to the CDN that is named, else to the bucket, else nowhere."""
    if settings.packages_url is not None:
        return behind_cdn(settings.packages_url)
    return nowhere if settings.objects is None else in_bucket(partial(open_objects, settings.objects))


def _hub_events(settings: ServerSettings) -> HubEvents | None:
    if not settings.hub_webhook_secret:
        return None
    if settings.github_repo is None or not settings.github_token:
        raise SettingsError(
            "PROJECTONE_SERVER_HUB_WEBHOOK_SECRET: expected GITHUB_REPO and GITHUB_TOKEN with it, to hand pushes on to"
        )
    return HubEvents(
        secret=settings.hub_webhook_secret,
        repo_id=settings.hub_repo,
        folder=settings.home / "hub-events",
        dispatch=GitHubDispatch(settings.github_repo, settings.github_token, api_url=settings.github_api),
    )


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


class _Server(uvicorn.Server):
    """One of several servers in a process: the process, not the server, listens for signals."""

    def __init__(self, name: str, app: Any, bound: socket.socket) -> None:  # noqa: ANN401 - an ASGI application
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol_for(app),
                lifespan="off",
                log_config=None,  # `logging_to` decides what is said, and where
                access_log=False,  # paths hold ids of people's samples
                server_header=False,
                h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
                limit_concurrency=_MAX_CONNECTIONS,
                timeout_graceful_shutdown=_SHUTDOWN_S,
            )
        )
        self.name = name
        self.bound = bound

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `_serve`."""
        yield

    @property
    def url(self) -> str:
        """Where it answers."""
        host, port = self.bound.getsockname()[:2]
        return f"http://{host}:{port}"


def _server(name: str, settings: ServerSettings, engine: Engine) -> _Server:
    if name == "api":
        bound = _bind(settings.api_host, settings.api_port, "PROJECTONE_SERVER_API_PORT")
        return _Server("api", create_api(api_services(settings, engine)), bound)
    bound = _bind(settings.hub_host, settings.hub_port, "PROJECTONE_SERVER_HUB_PORT")
    port = bound.getsockname()[1]
    own_url = replace(settings, hub_port=port).own_hub_url
    store = HubStore(engine, settings.home / "hub", record=record)
    return _Server("hub", create_hub(store, HubSettings(public_url=own_url, quota_bytes=quota_bytes(settings))), bound)


def _bind(host: str, port: int, variable: str) -> socket.socket:
    if not 0 <= port <= 65535:
        raise SettingsError(f"{variable}: expected a port from 0 to 65535, got {port}")
    try:
        return socket.create_server((host, port), backlog=1024)
    except OSError as error:
        message = f"{variable}: expected a free port on {host}, got {port}: {error.strerror}; choose another one"
        raise SettingsError(message) from error


async def _serve(servers: list[_Server], announce: Callable[[dict[str, str]], None]) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server in servers:
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    tasks = [asyncio.create_task(server.serve(sockets=[server.bound])) for server in servers]
    while not all(server.started for server in servers) and not any(task.done() for task in tasks):
        await asyncio.sleep(0.02)
    announce({server.name: server.url for server in servers})
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    stop()  # one that ends takes the other with it
    await asyncio.gather(*tasks)


def _announce(urls: dict[str, str], *, is_json: bool) -> None:
    if is_json:
        print(json.dumps({"ready": True, **urls}), flush=True)
    shown = ", ".join(f"{name} on {url}" for name, url in urls.items())
    print(f"projectone-server: ready: {shown}", file=sys.stderr, flush=True)


def _now() -> datetime:
    return datetime.now(UTC)
