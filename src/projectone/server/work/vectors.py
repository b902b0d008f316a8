"""`projectone-server vectors`: whether the store keeps what it promises, and what an operator does with it."""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import numpy as np

from projectone.assist.vectors.addresses import kind_of
from projectone.assist.vectors.opening import open_vectors
from projectone.assist.vectors.protocol import Item, Owner, VectorStore
from projectone.errors import SettingsError
from projectone.server.home import require_home
from projectone.server.settings import ServerSettings
from projectone.server.work.hosted_memory import forget_person, owner_of

SUMMARY = "The store of vectors that PROJECTONE_SERVER_VECTORS names: `check` it, `sweep` it, `forget` a person."
EXAMPLES = """\
  projectone-server vectors check
  projectone-server vectors sweep --json        # what has expired also goes when somebody looks
  projectone-server vectors forget --tenant shop --user anna
  PROJECTONE_SERVER_VECTORS=postgresql://user@host/rows projectone-server vectors check"""

_N_PROBES, _N_HITS = 200, 10
_MIN_WIDTH, _MAX_WIDTH = 2, 16_384  # in one number all vectors of a sign are equally near: no answer would be right


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the three actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    checking = actions.add_parser("check", help="put, find and forget a made-up owner's vectors; exit code 1 if wrong")
    sweeping = actions.add_parser("sweep", help="delete what has expired, of everybody")
    forgetting = actions.add_parser("forget", help="delete everything of one person")
    forgetting.add_argument("--tenant", required=True, help="the product or organisation")
    forgetting.add_argument("--user", required=True, help="the person, as the application names them")
    for action in (checking, sweeping, forgetting):
        action.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--width", type=int, default=384, help="numbers of a vector (default %(default)s, as MiniLM's)")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Do it; gives the exit code.

    Raises:
        SettingsError: if no vector has that width, or what is asked for needs a home and there is none.
    """
    if not _MIN_WIDTH <= arguments.width <= _MAX_WIDTH:
        raise SettingsError(f"--width: expected {_MIN_WIDTH} to {_MAX_WIDTH}, got {arguments.width}")
    # A mistyped home is made by opening it, and has nothing to forget. A person's key lies in the home, whatever store
    # the vectors are in: without it they would stay readable in old backups.
    if arguments.action == "forget" or kind_of(settings.vectors) == "SQLite":
        require_home(settings)
    with contextlib.closing(open_vectors(settings.vectors, arguments.width, settings.home)) as store:
        if arguments.action == "check":
            found = check_store(store, arguments.width)
            told = (
                f"{kind_of(settings.vectors)}: put {found['put_per_s']} a second, found in {found['query_ms']} ms, "
                f"{found['n_right']} of {found['n_asked']} right, {found['n_left']} left after forgetting"
            )
            is_well = found["n_right"] == found["n_asked"] and not found["n_left"]
            found = {"store": kind_of(settings.vectors), "is_well": is_well, **found}
        elif arguments.action == "sweep":
            n_expired, is_well = store.sweep(datetime.now(UTC)), True
            found, told = {"n_expired": n_expired}, f"{n_expired} expired vectors deleted"
        else:
            owner = owner_of(arguments.tenant, arguments.user)
            n_forgotten, is_well = store.count(owner), True
            forget_person(settings, owner)  # where memories are hosted, the rows and their key go with the vectors
            n_forgotten = max(n_forgotten, store.forget(owner))
            found, told = {"n_forgotten": n_forgotten}, f"{n_forgotten} vectors forgotten"
    print(json.dumps(found) if arguments.json else told)
    return 0 if is_well else 1


def check_store(store: VectorStore, width: int) -> dict[str, Any]:
    """What a store does for two made-up owners, who are forgotten again.

    Returns:
        How many were put in a second, the milliseconds of a question (middle), how many of the exact answers were given
        of how many, and how many vectors were left in the end.
    """
    now = datetime.now(UTC)
    owners = tuple(Owner("projectone check", str(uuid4())) for _ in range(2))
    rows = np.random.default_rng(0).standard_normal((_N_PROBES, width)).astype(np.float32)
    # The second owner has the same vectors under the same ids, and the first one some that have expired.
    items = [Item(uuid4(), owners[0], row, now if n % 4 == 0 else None, "probe") for n, row in enumerate(rows)]
    try:
        started = time.perf_counter()
        store.put(items)
        put_s = time.perf_counter() - started
        store.put([replace(item, owner=owners[1], kind="other") for item in items])
        alive = [item for item in items if item.expires_at is None]
        matrix = np.array([item.vector for item in alive], np.float64)
        matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
        took_s, n_right, n_asked = [], 0, 0
        for query in rows[:20]:
            expected = {alive[place].id for place in np.argsort(-(matrix @ query))[:_N_HITS]}
            started = time.perf_counter()
            hits = store.nearest(query, owners[0], _N_HITS, now)
            took_s.append(time.perf_counter() - started)
            n_asked += len(expected)
            n_right += len(expected & {hit.id for hit in hits if hit.kind == "probe"})
    finally:
        for owner in owners:
            store.forget(owner)
    return {
        "put_per_s": round(len(items) / put_s),
        "query_ms": round(1000 * sorted(took_s)[len(took_s) // 2], 2),
        "n_right": n_right,
        "n_asked": n_asked,
        "n_left": sum(store.count(owner) for owner in owners),
    }
