"""What every device asks day after day: the newest release and the signed metadata, under load, beside nginx.

`wrk` keeps connections open and asks as fast as it is answered: our server, which answers from memory and says at once
when there is a new release, and nginx with one worker, which has the same bytes as files. Asked for the whole answer,
and with the tag of the answer that one has (304). The order changes from turn to turn; shown are medians of the turns.

    python benchmarks/releases.py [--quick] [--json] [--no-peers] [--seconds S] [--turns N] [--connections N]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from peers.uploads import our_server

from projectone.contracts.endpoints import LATEST_MODEL_INFO, SIGNED_METADATA
from projectone.contracts.releases import ReleaseFile, ReleaseManifest
from projectone.server.database import open_engine
from projectone.server.delivery.ledger import Ledger

CURRENT = f"{SIGNED_METADATA}/timestamp.json"
PATHS = (LATEST_MODEL_INFO, CURRENT)
_UNITS_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; default_type application/json; keepalive_requests 100000000; sendfile on; etag on;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e; open_file_cache max=100;
  server {{ listen 127.0.0.1:{port}; root {folder}/www; }}
}}
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one second each, to see that it works")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--no-peers", action="store_true", help="without nginx")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=3, help="measurements of each (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=50, help="kept open (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds, arguments.turns = 1.0, 1
    if shutil.which("wrk") is None:
        print(json.dumps({"name": "releases", "ratios": {}, "conditions": {"left_out": ["wrk is not installed"]}}))
        return
    rows = measured(arguments)
    if not arguments.json:
        print_table(rows)
    print(json.dumps(summary_of(rows, arguments)))


def measured(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Every server, path and kind of question, the servers in turns."""
    found: dict[tuple[str, str, str], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as made, contextlib.ExitStack() as stack:
        folder = Path(made)
        server = stack.enter_context(our_server(folder / "home"))
        release(folder / "home")
        servers = {"ours": server.address}
        answers = {path: answer_of(f"http://{server.address}{path}")[0] for path in PATHS}
        if not arguments.no_peers and shutil.which("nginx"):
            servers["nginx"] = stack.enter_context(nginx(folder / "nginx", answers))
        for turn in range(arguments.turns):
            names = list(servers) if turn % 2 == 0 else list(reversed(servers))
            for path in PATHS:
                for kind in ("whole", "304"):
                    for name in names:
                        url = f"http://{servers[name]}{path}"
                        etag = answer_of(url)[1] if kind == "304" else None
                        row = wrk(url, arguments.seconds, arguments.connections, etag)
                        found.setdefault((name, path, kind), []).append(row)
    return [
        {"server": name, "path": path, "answer": kind}
        | {key: round(statistics.median(row[key] for row in rows), 2) for key in ("per_s", "p99_ms", "refused")}
        for (name, path, kind), rows in found.items()
    ]


def release(home: Path) -> None:
    """A release as large as they are: its answer is what devices get."""
    files = tuple(
        ReleaseFile(path=name, sha256="a" * 64, size_bytes=75_518_320)
        for name in ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json")
    )
    engine = open_engine(f"sqlite:///{home / 'projectone.sqlite'}")

    def draft(seq: int) -> ReleaseManifest:
        return ReleaseManifest(
            channel="stable",
            seq=seq,
            version="1.0.0",
            repo_id="projectone/whisper",
            commit="0" * 40,
            base_sha256="b" * 64,
            weights_sha256="a" * 64,
            package_sha256="c" * 64,
            package_size_bytes=76_000_000,
            files=files,
            created_at=datetime.now(UTC),
        )

    Ledger(engine).publish("benchmark", "stable", draft)
    engine.dispose()


@contextlib.contextmanager
def nginx(folder: Path, answers: dict[str, bytes]) -> Iterator[str]:
    """The peer, with these answers as files, for the block."""
    for path, content in answers.items():
        place = folder / "www" / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    for readable in (folder.parent, folder, *(folder / "www").rglob("*")):
        readable.chmod(0o755)  # its worker may be another user
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "conf").write_text(_NGINX.format(folder=folder, port=port))
    process = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(folder / "conf")], stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_for(port: int) -> None:
    """Until somebody listens."""
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise SystemExit("nginx does not answer")


def answer_of(url: str) -> tuple[bytes, str]:
    """The body and its tag."""
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read(), response.headers["etag"]


def wrk(url: str, seconds: float, connections: int, etag: str | None) -> dict[str, float]:
    """Requests in a second, the wait that one in a hundred exceeds, and how many got no good answer."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency"]
    command += ["-H", f"If-None-Match: {etag}"] if etag else []
    said = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    per_s = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert p99 and per_s, said
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    return {
        "per_s": float(per_s[1]),
        "p99_ms": float(p99[1]) * _UNITS_MS[p99[2]],
        "refused": float(refused[1]) if refused else 0.0,
    }


def summary_of(rows: list[dict[str, Any]], arguments: argparse.Namespace) -> dict[str, Any]:
    """The line for machines."""
    by_place = {(row["server"], row["path"], row["answer"]): row for row in rows}
    ratios = {
        f"{path} {kind}": round(row["per_s"] / other["per_s"], 3)
        for (name, path, kind), row in by_place.items()
        if name == "ours" and (other := by_place.get(("nginx", path, kind)))
    }
    return {
        "name": "releases",
        "ratios": ratios,
        "rows": rows,
        "conditions": {
            "seconds": arguments.seconds,
            "turns": arguments.turns,
            "connections": arguments.connections,
            "ratio": "requests in a second, ours to nginx with one worker; both share the machine with wrk",
            "cores": os.cpu_count(),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "left_out": [] if ratios else ["nginx is not installed"],
        },
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    """For people."""
    print(f"{'':8} {'path':32} {'answer':8} {'requests/s':>11} {'p99 ms':>8}")
    for row in sorted(rows, key=lambda row: (row["path"], row["answer"], row["server"])):
        print(f"{row['server']:8} {row['path']:32} {row['answer']:8} {row['per_s']:11.0f} {row['p99_ms']:8.2f}")


if __name__ == "__main__":
    main()
