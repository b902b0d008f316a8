"""A build fails where a list of known vulnerabilities names a pin of ours: `make audit`, beside a list on loopback."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow

Pin = tuple[str, str]


class KnownVulnerabilities(ThreadingHTTPServer):
    """Answers as osv.dev's `POST /v1/query` does: `{}`, or what is known about one version of one package."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.vulnerable: set[Pin] = set()
        self.asked: list[Pin] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/query"


class _Answer(BaseHTTPRequestHandler):
    server: KnownVulnerabilities

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert (self.path, query["package"]["ecosystem"]) == ("/v1/query", "PyPI")
        name, version = pin = (query["package"]["name"], query["version"])
        self.server.asked.append(pin)
        package = {"name": name, "ecosystem": "PyPI"}
        events = [{"introduced": "0"}, {"fixed": "9999.1"}]
        known = {
            "id": f"PLANTED-{name}-{version}",
            "schema_version": "1.6.0",
            "summary": "planted",
            "affected": [{"package": package, "ranges": [{"type": "ECOSYSTEM", "events": events}]}],
        }
        answer = json.dumps({"vulns": [known]} if pin in self.server.vulnerable else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def osv() -> Iterator[KnownVulnerabilities]:
    with KnownVulnerabilities() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    mine = {name: text for name, text in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    mine["NO_PROXY"] = mine["no_proxy"] = "127.0.0.1"
    return subprocess.run(command, cwd=REPOSITORY, env=mine, capture_output=True, text=True, check=False)


def audit(url: str) -> subprocess.CompletedProcess[str]:
    """The command of the workflow."""
    return run(["make", "audit", f"PYTHON={sys.executable}", f"ARGS=--osv-url {url}"])


def pinned() -> set[Pin]:
    """Every name and version of every lock, whatever it is installed on."""
    texts = [lock.read_text() for lock in REPOSITORY.glob("requirements*.lock")]
    found = re.findall(r"^([a-zA-Z0-9][^=\[ ]*)(?:\[.*\])?==([^ ;\\\n]+)", "\n".join(texts), re.MULTILINE)
    return {(name.lower(), version) for name, version in found}


def test_the_build_passes_where_nothing_is_known_and_asks_about_every_pin_of_every_lock(
    osv: KnownVulnerabilities,
) -> None:
    """The control run. Pins of other systems and Pythons are among them, and those of the auditor itself."""
    done = audit(osv.url)
    assert done.returncode == 0, done.stderr
    assert set(osv.asked) == pinned()
    names = {name for name, _ in osv.asked}
    assert {"mlx-metal", "pywin32-ctypes", "ray", "torch", "ctranslate2", "pip-audit"} <= names
    assert len({version for name, version in osv.asked if name == "numpy"}) == 2


def test_the_build_fails_and_names_each_pin_that_the_list_knows(osv: KnownVulnerabilities) -> None:
    """A pin for Macs alone, one for newer Pythons, one of a lock without digests."""
    osv.vulnerable = {max(pin for pin in pinned() if pin[0] == name) for name in ("mlx-metal", "numpy", "ctranslate2")}
    done = audit(osv.url)
    assert done.returncode != 0
    listed = {tuple(line.split()) for line in done.stdout.splitlines() if "PLANTED" in line}
    assert {line[:4] for line in listed} == {
        (name, version, f"PLANTED-{name}-{version}", "9999.1") for name, version in osv.vulnerable
    }
    assert "expected" not in done.stderr and "raise it with `make lock`" in done.stderr


def test_a_list_that_does_not_answer_fails_the_build() -> None:
    with KnownVulnerabilities() as nobody:
        url = nobody.url
    assert audit(url).returncode != 0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("planted==1.0\n", "does not contain a hash"),
        ("planted>=1.0\n", "lines that are no pins"),
        ("-r another.lock\n", "lines that are no pins"),
    ],
)
def test_a_lock_that_leaves_something_open_fails_the_build(
    line: str, reason: str, tmp_path: Path, osv: KnownVulnerabilities
) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(REPOSITORY / ".ci" / "audit.py", tmp_path / ".ci")
    shutil.copy(REPOSITORY / "requirements-weights.lock", tmp_path)
    (tmp_path / "requirements-planted.lock").write_text(line)
    run(["make", ".venv-audit/.installed-from-lock", f"PYTHON={sys.executable}"])
    python = str(REPOSITORY / ".venv-audit" / "bin" / "python")
    done = run([python, str(tmp_path / ".ci" / "audit.py"), "--osv-url", osv.url])
    assert done.returncode != 0 and reason in done.stderr


@pytest.mark.parametrize("has_lock", [True, False])
def test_an_auditor_that_is_killed_and_a_folder_without_a_lock_fail_the_build(
    has_lock: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(REPOSITORY / ".ci" / "audit.py", tmp_path / ".ci")
    if has_lock:
        shutil.copy(REPOSITORY / "requirements-weights.lock", tmp_path)
    (tmp_path / "pip_audit.py").write_text("import os, signal\n\nos.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert run([sys.executable, str(tmp_path / ".ci" / "audit.py")]).returncode == 1


def test_a_workflow_asks_at_each_push_and_each_week_and_its_failure_counts() -> None:
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "audit.yml").read_text())
    assert set(workflow[True]) == {"push", "pull_request", "schedule"}  # YAML 1.1 reads the key `on` as true
    (job,) = workflow["jobs"].values()
    assert job["steps"][-1] == {"run": "make audit"}
    assert "continue-on-error" not in json.dumps(workflow) and not {"if"} & {*job, *job["steps"][-1]}
