"""`projectone-server memories`: which products keep their people's memories here, and what an operator does there."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from projectone.assist.first_turn import FirstTurn
from projectone.assist.memory import Retention, Swept
from projectone.assist.policies import Policies
from projectone.assist.usual_encoder import WIDTH, embed, usual_name
from projectone.assist.vectors.opening import open_vectors
from projectone.assist.vectors.protocol import Owner
from projectone.errors import DataError, ProjectOneError, UsageError
from projectone.server.database import Engine, open_engine
from projectone.server.home import POLICIES, open_keys, require_home
from projectone.server.keys import ConsentKeys
from projectone.server.memories.hosted import HostedMemories
from projectone.server.memories.routes import MemoryRoutes
from projectone.server.memories.rows import every_owner
from projectone.server.memories.tenants import Tenants
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.settings import ServerSettings
from projectone.server.work.policies import read_set
from projectone.server.work.quarantine import user_name

_log = logging.getLogger(__name__)

SUMMARY = (
    "Memories of your product's people, served by `serve-assist run --memory`: `grant` a product a token, `revoke` it, "
    "`list` them, `forget` a person, `sweep` what ran out (the worker does that every hour)."
)
EXAMPLES = """\
  projectone-server memories grant shop --keep "said=30 asked=0"   a token for the product, printed once
  projectone-server memories list --json
  projectone-server memories forget --tenant shop --user anna      rows, vectors, and the key that opens old backups
  projectone-server memories sweep --mend                          after a restore: vectors that are lost are made anew
  projectone-server memories revoke shop"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the five actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    granting = actions.add_parser("grant", help="a new token for a product, printed once; an earlier one ends")
    granting.add_argument("tenant", metavar="NAME", help="the product or organisation")
    granting.add_argument("--keep", default="", metavar="DAYS", help="such as said=30; never longer than the server's")
    revoking = actions.add_parser("revoke", help="let a product in no more; its memories stay until they run out")
    revoking.add_argument("tenant", metavar="NAME")
    listing = actions.add_parser("list", help="products, and of how many people they keep something")
    forgetting = actions.add_parser("forget", help="forget everything of one person for good")
    forgetting.add_argument("--tenant", required=True, help="the product or organisation")
    forgetting.add_argument("--user", required=True, help="the person, as the application names them")
    sweeping = actions.add_parser("sweep", help="let go of what ran out, make vectors that are missing")
    sweeping.add_argument("--mend", action="store_true", help="first look at everybody for vectors that are lost")
    for action in (granting, revoking, listing, forgetting, sweeping):
        action.add_argument("--json", action="store_true", help="print one JSON object")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Do it; gives the exit code."""
    with _rows(settings) as engine:
        facts, text = _done(arguments, settings, engine, datetime.now(UTC))
    print(json.dumps(facts) if arguments.json else text)
    return 0


def forget_person(settings: ServerSettings, owner: Owner) -> int:
    """Forget everything of one person for good, rows, vectors and key; gives how many memories there were."""
    with _rows(settings) as engine, _keys(settings) as keys, _memories(settings, engine, keys) as memories:
        return memories.forget(owner, datetime.now(UTC), by=user_name())


def sweep_memories(settings: ServerSettings, engine: Engine, keys: ConsentKeys, now: datetime) -> Swept | None:
    """Let go of what ran out, and finish what was begun; None where nobody keeps memories."""
    tenants = [tenant.name for tenant in _tenants(settings, engine).all()]
    names = {*tenants, *(owner.tenant for owner in every_owner(engine))}
    if not names:
        return None
    with _memories(settings, engine, keys) as memories:
        return memories.sweep(now, sorted(names))


@contextlib.contextmanager
def memory_routes(settings: ServerSettings) -> Iterator[MemoryRoutes]:
    """What serves memories, their database, keys and vectors open."""
    with _rows(settings) as engine, _keys(settings) as keys, _memories(settings, engine, keys) as memories:
        chooser = _Chooser(settings, memories)
        yield MemoryRoutes(memories, _tenants(settings, engine), first_turn=chooser.now)


class _Chooser:
    """Chooses by the set that is approved now: it is read again when its file is another one."""

    def __init__(self, settings: ServerSettings, memories: HostedMemories) -> None:
        self._settings = settings
        self._memories = memories
        self._turn = threading.Lock()
        self._known: tuple[int, int] | None = None
        self._first: FirstTurn | None = None
        self.now()

    def now(self) -> FirstTurn | None:
        """None before anything is approved; one that is gone, unreadable or not believed leaves that of before."""
        with self._turn:
            with contextlib.suppress(OSError):
                found = (self._settings.home / POLICIES).stat()
                mark = (found.st_ino, found.st_mtime_ns)
                if mark != self._known:
                    self._first, self._known = self._read(), mark
            return self._first

    def _read(self) -> FirstTurn | None:
        try:
            approved = read_set(self._settings)
        except ProjectOneError as error:
            if self._first is None:
                raise
            _log.error("approved answers: %s; those of before stay in use", error)
            return self._first
        if approved is None:
            return None
        return FirstTurn(Policies(approved, embed, embedded_by=usual_name()), recall=self._memories.recall)


def _done(
    arguments: argparse.Namespace, settings: ServerSettings, engine: Engine, now: datetime
) -> tuple[dict[str, Any], str]:
    tenants = _tenants(settings, engine)
    if arguments.action == "grant":
        token = tenants.grant(arguments.tenant, keep=arguments.keep, by=user_name(), now=now)
        return {"tenant": arguments.tenant, "token": token}, f"{token}\nfor {arguments.tenant}; it is shown this once"
    if arguments.action == "revoke":
        if not tenants.revoke(arguments.tenant, by=user_name(), now=now):
            raise DataError("tenant-unknown", f"{arguments.tenant!r:.60}: no such product (`memories list` shows them)")
        return {"tenant": arguments.tenant}, f"{arguments.tenant} is let in no more"
    if arguments.action == "list":
        found = [
            {
                "tenant": each.name,
                "keep": tenants.retention(each.name).described(),
                "people": _n_people(engine, each.name),
            }
            for each in tenants.all()
        ]
        return {"tenants": found}, "\n".join(map(_line, found)) or "no product keeps memories here"
    if arguments.action == "forget":
        n_forgotten = forget_person(settings, owner_of(arguments.tenant, arguments.user))
        return {"n_forgotten": n_forgotten}, f"{n_forgotten} memories forgotten"
    return _swept(arguments.mend, settings, engine, now)


def owner_of(tenant: str, user: str) -> Owner:
    """The owner that an operator named.

    Raises:
        UsageError: if a name is empty or too long.
    """
    try:
        return Owner(tenant, user)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _swept(is_mending: bool, settings: ServerSettings, engine: Engine, now: datetime) -> tuple[dict[str, Any], str]:
    with _keys(settings) as keys:
        n_torn = 0
        if is_mending:
            with _memories(settings, engine, keys) as memories:
                n_torn = memories.unmark_lost()
        swept = sweep_memories(settings, engine, keys, now) or Swept(0, 0, 0)
    facts = {"n_torn": n_torn, **vars(swept)}
    text = f"{swept.n_expired} ran out, {swept.n_removed} vectors removed, {swept.n_embedded} made"
    return facts, f"{text}; lost vectors of {n_torn} people" if is_mending else text


def _n_people(engine: Engine, tenant: str) -> int:
    return len(every_owner(engine, tenant))


def _line(found: dict[str, Any]) -> str:
    kept = " ".join(f"{kind}={'forever' if days is None else days}" for kind, days in found["keep"].items())
    return f"{found['tenant']:20} {found['people']:6} people, {kept}"


def _tenants(settings: ServerSettings, engine: Engine) -> Tenants:
    return Tenants(engine, Retention.parse(settings.memory_keep))


@contextlib.contextmanager
def _rows(settings: ServerSettings) -> Iterator[Engine]:
    require_home(settings)
    engine = open_engine(settings.database_url)
    try:
        upgrade_database(engine)
        yield engine
    finally:
        engine.dispose()


def _keys(settings: ServerSettings) -> contextlib.closing[ConsentKeys]:
    return contextlib.closing(open_keys(settings, can_open=True))


def _memories(settings: ServerSettings, engine: Engine, keys: ConsentKeys) -> contextlib.closing[HostedMemories]:
    return contextlib.closing(
        HostedMemories(
            engine,
            keys,
            open_vectors(settings.vectors, WIDTH, settings.home),
            embed,
            embedded_by=usual_name(),
            keeps=_tenants(settings, engine).retention,
        )
    )
