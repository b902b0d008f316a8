"""`projectone-server serve-assist`: in one process, without a cluster."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.testclient import TestClient
from tests.fakes.device_intents import tiny_intents

from projectone.assist.generation.protocol import GenerationRequest
from projectone.assist.vectors.protocol import Owner
from projectone.server.cli import main
from projectone.server.replicas import app as served_app
from projectone.server.replicas import wire
from projectone.server.replicas.asking import LocalModels
from projectone.server.replicas.models import ModelPlaces


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object]]:
    capsys.readouterr()
    code = main(["serve-assist", *words, "--json"])
    out = capsys.readouterr().out
    return code, json.loads(out.splitlines()[-1])


def test_it_loads_what_is_named_makes_a_token_for_one_account_and_serves_on_this_machine_alone(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun: list[tuple[str, int]] = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: begun.append(sockets[0].getsockname()))
    folder = tiny_intents(tmp_path / "intents")
    code, shown = run(capsys, "run", "--classifier", str(folder), "--generator", "templates", "--port", "0")
    assert (code, shown["kinds"], shown["ray"]) == (0, ["classify", "generate"], None)
    assert begun[0][0] == "127.0.0.1" and shown["url"] == f"http://127.0.0.1:{begun[0][1]}"
    token = home / "assist.token"
    assert token.stat().st_mode & 0o777 == 0o600 and len(token.read_text()) > 30
    kept = token.read_text()
    run(capsys, "run", "--generator", "templates", "--port", "0")
    assert token.read_text() == kept


def test_what_answers_cost_is_shown_for_each_tenant_or_one_of_them(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "costs")[1]["tenants"] == [] and not home.exists()
    monkeypatch.setenv("PROJECTONE_SERVER_ANSWERS_PRICES", "0.15, 0.6")
    apps: list[Starlette] = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: apps.append(self.config.app))
    run(capsys, "run", "--generator", "templates", "--port", "0")
    headers = {"authorization": f"Bearer {(home / 'assist.token').read_text()}"}
    with TestClient(apps[0]) as http:
        for tenant in ("shop", "shop", "bank"):
            asked = GenerationRequest(owner=Owner(tenant, "anna"), prompt="what now")
            assert http.post("/v1/generate", content=wire.request_to_bytes(asked), headers=headers).status_code == 200
        served = http.get("/v1/costs", headers=headers).json()
    code, found = run(capsys, "costs")
    assert code == 0 and found == served
    shown = run(capsys, "costs", "--tenant", "shop")[1]["tenants"]
    assert isinstance(shown, list) and [each["tenant"] for each in shown] == ["shop"]
    assert (shown[0]["lines"][0]["by"], shown[0]["lines"][0]["n"]) == ("template", 2)
    main(["serve-assist", "costs", "--days", "1"])
    assert "bank" in capsys.readouterr().out
    assert run(capsys, "costs", "--days", "0")[0] == 2
    monkeypatch.setenv("PROJECTONE_SERVER_ANSWERS_PRICES", "cheap")
    assert run(capsys, "costs")[0] == 2


@pytest.fixture
def service(home: Path, tmp_path: Path) -> Iterator[str]:
    home.mkdir(parents=True)
    (home / "assist.token").write_text("the-token-of-this-test")
    models = LocalModels(ModelPlaces(classifier=tiny_intents(tmp_path / "intents")))
    app = served_app.create_app(models, models.kinds, token="the-token-of-this-test")
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off", ws="none"))
    listener = server.config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()


def test_a_running_service_is_asked_over_the_network(service: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = run(capsys, "ask", "classify", "play some song", "--url", service)
    assert (code, found["label"]) == (0, "music")
    assert run(capsys, "ask", "embed", "x", "--url", service)[0] == 2


@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("run", "--classifier", "nowhere"),
        ("run", "--generator", "templates", "--port", "70000"),
        ("run", "--generator", "templates", "--token-file", "SHORT"),
        ("ask", "classify", "x", "--token-file", "nowhere"),
    ],
)
def test_what_cannot_be_served_is_refused(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    (tmp_path / "short").write_text("abc")
    code, facts = run(capsys, *(str(tmp_path / "short") if word == "SHORT" else word for word in words))
    assert code == 2 and "error" in facts
