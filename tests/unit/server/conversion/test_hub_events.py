from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from projectone.errors import ContractError, SignatureError, TransportError
from projectone.server.conversion.hub_events import GitHubDispatch, HubEvents, pushed_commit

SECRET = "sixteen characters and more"
COMMIT = "0123456789abcdef" * 2 + "01234567"


def event(**changes: Any) -> bytes:
    """As huggingface.co sends it, shortened."""
    body: dict[str, Any] = {
        "event": {"action": "update", "scope": "repo.content"},
        "repo": {"type": "model", "name": "acme/whisper", "id": "1", "private": True, "headSha": COMMIT},
        "webhook": {"id": "2", "version": 3},
        "updatedRefs": [{"ref": "refs/heads/main", "oldSha": "0" * 40, "newSha": COMMIT}],
    }
    return json.dumps(body | changes).encode()


class Handed(list[tuple[str, str]]):
    """What was handed on; refuses if told to."""

    is_down = False

    def __call__(self, repo_id: str, commit: str) -> None:
        if self.is_down:
            raise TransportError("GitHub: ConnectError")
        self.append((repo_id, commit))


@pytest.fixture
def handed() -> Handed:
    return Handed()


@pytest.fixture
def events(handed: Handed, tmp_path: Path) -> HubEvents:
    return HubEvents(secret=SECRET, repo_id="acme/whisper", folder=tmp_path / "seen", dispatch=handed)


def test_a_push_is_handed_on_once_however_often_it_is_told(events: HubEvents, handed: Handed, tmp_path: Path) -> None:
    assert events.take(SECRET, event()) == "dispatched"
    assert events.take(SECRET, event()) == "seen"
    again = HubEvents(secret=SECRET, repo_id="acme/whisper", folder=tmp_path / "seen", dispatch=handed)
    assert again.take(SECRET, event(webhook={"id": "3"})) == "seen"  # another process, after a restart
    assert handed == [("acme/whisper", COMMIT)]


@pytest.mark.parametrize("secret", ["", "sixteen", SECRET + "x", SECRET.upper(), "\ud800"])
def test_who_does_not_know_the_secret_is_refused_before_the_body_is_read(
    secret: str, events: HubEvents, handed: Handed
) -> None:
    with pytest.raises(SignatureError):
        events.take(secret, b"not even JSON")
    assert handed == []


@pytest.mark.parametrize(
    "changes",
    [
        {"event": {"action": "update", "scope": "repo.config"}},
        {"event": {"action": "create", "scope": "discussion.comment"}},
        {"repo": {"type": "model", "name": "acme/other"}},
        {"repo": {"type": "dataset", "name": "acme/whisper"}},
        {"updatedRefs": [{"ref": "refs/pr/1", "newSha": COMMIT}]},
        {"updatedRefs": [{"ref": "refs/tags/v1", "newSha": COMMIT}]},
        {"updatedRefs": [{"ref": "refs/heads/main", "newSha": None}]},
        {"updatedRefs": None},
    ],
)
def test_what_is_no_push_to_the_model_starts_nothing(changes: Any, events: HubEvents, handed: Handed) -> None:
    assert events.take(SECRET, event(**changes)) == "ignored"
    assert handed == []


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"\xff", b"[" * 5000, event(repo="acme/whisper"), event(updatedRefs=[1]), event(updatedRefs=7)],
)
def test_what_is_no_event_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(ContractError, match="expected an event"):
        pushed_commit(body, "acme/whisper")


@pytest.mark.parametrize("sha", ["../../x", "0" * 39, "$(id)", 7, "A" * 40])
def test_nothing_but_a_commit_is_handed_on(sha: Any) -> None:
    with pytest.raises(ContractError, match="40 hexadecimal"):
        pushed_commit(event(updatedRefs=[{"ref": "refs/heads/main", "newSha": sha}]), "acme/whisper")


def test_what_could_not_be_handed_on_may_come_again(events: HubEvents, handed: Handed) -> None:
    handed.is_down = True
    with pytest.raises(TransportError):
        events.take(SECRET, event())
    handed.is_down = False
    assert events.take(SECRET, event()) == "dispatched"


class GitHub:
    """As much of GitHub as a dispatch needs, on loopback."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.status = 204
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append((self.path, dict(self.headers.items()), json.loads(body)))
                self.send_response(outer.status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def github() -> Iterator[GitHub]:
    hub = GitHub()
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


def test_github_gets_the_commit_and_the_token(github: GitHub) -> None:
    GitHubDispatch("acme/app", "secret-token", api_url=github.url)("acme/whisper", COMMIT)
    ((path, headers, body),) = github.requests
    assert path == "/repos/acme/app/dispatches"
    assert headers["Authorization"] == "Bearer secret-token"
    assert body == {
        "event_type": "hub-model-pushed",
        "client_payload": {"repo_id": "acme/whisper", "revision": COMMIT},
    }


@pytest.mark.parametrize("status", [200, 302, 401, 404, 422, 500])
def test_whatever_else_github_says_is_a_failure_that_names_no_token(status: int, github: GitHub) -> None:
    github.status = status
    with pytest.raises(TransportError, match=f"got {status}") as failed:
        GitHubDispatch("acme/app", "secret-token", api_url=github.url)("acme/whisper", COMMIT)
    assert "secret-token" not in str(failed.value)
    assert len(github.requests) == 1  # no redirect is followed: the token would go with it


def test_a_github_that_is_not_there_is_a_failure_too(github: GitHub) -> None:
    github.server.shutdown()
    github.server.server_close()
    with pytest.raises(TransportError, match="GitHub: Connect"):
        GitHubDispatch("acme/app", "secret-token", api_url=github.url)("acme/whisper", COMMIT)
