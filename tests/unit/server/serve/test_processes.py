"""The server as its operator meets it: it says when it is ready, ends when asked, and comes back after a kill."""

import socket
import threading
from pathlib import Path

import httpx2
import pytest
from tests.fakes.caller import Caller, a_clip
from tests.fakes.server_process import running

from projectone.server.cli import main


def test_api_and_hub_answer_each_on_its_port_for_nobody_else_and_end_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path / "home") as server:
        assert httpx2.get(f"{server.api}/health/ready").status_code == 200
        assert httpx2.get(f"{server.hub}/api/whoami-v2", headers={"Authorization": "Bearer wrong"}).status_code == 401
        token = (server.home / "keys" / "hub-token").read_text()
        who = httpx2.get(f"{server.hub}/api/whoami-v2", headers={"Authorization": f"Bearer {token}"})
        assert who.json()["name"] == "trainer"
        with monkeypatch.context() as patch:
            patch.setenv("PROJECTONE_SERVER_HOME", str(server.home))
            assert main(["serve", "--only", "hub", "--hub-port", "0"]) == 2
        said = capsys.readouterr().err
        assert f"its hub is served by process {server.process.pid}, on {server.hub}; stop that first" in said
        code, said = server.stop()
    assert code == 0
    assert "ready: api on http://127.0.0.1:" in said
    assert "Traceback" not in said


def test_a_server_without_a_home_makes_none_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "mistyped"
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(home))
    assert main(["serve"]) == 2
    assert "run `projectone-server init`" in capsys.readouterr().err
    assert not home.exists()


def test_a_lost_release_key_is_not_replaced_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(tmp_path))
    assert main(["init"]) == 0
    (tmp_path / "keys" / "release.key").unlink()
    assert main(["serve"]) == 2
    assert "restore it from the backup" in capsys.readouterr().err
    assert not (tmp_path / "keys" / "release.key").exists()


def test_a_taken_port_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(tmp_path / "other"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--init", "--only", "api", "--api-port", port]) == 2
    assert "PROJECTONE_SERVER_API_PORT: expected a free port" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_number_that_is_no_port_is_explained(
    port: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(tmp_path))
    assert main(["serve", "--init", "--only", "hub", "--hub-port", port]) == 2
    assert f"PROJECTONE_SERVER_HUB_PORT: expected a port from 0 to 65535, got {port}" in capsys.readouterr().err


def test_what_was_acknowledged_survives_a_kill_and_the_rest_can_be_sent_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    acknowledged: list[tuple[int, bytes]] = []
    with running(home, "--only", "api") as server, httpx2.Client(base_url=server.api, timeout=120) as http:
        assert server.hub == ""
        ada = Caller(http, server.enrolment_code)
        assert ada.enrol().status_code == 201
        ada.grant()

        def send(start: int) -> None:
            for n in range(start, 400, 2):
                try:
                    response = ada.put(a_clip(n), name=str(n))
                except httpx2.TransportError:
                    return
                assert response.status_code == 201
                acknowledged.append((n, response.content))
                if len(acknowledged) >= 25:  # both threads may have come here before either counted
                    server.kill()

        threads = [threading.Thread(target=send, args=(start,)) for start in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert 25 <= len(acknowledged) < 400
    with running(home, "--only", "api") as server, httpx2.Client(base_url=server.api, timeout=120) as http:
        ada.http = http
        for n, receipt in acknowledged:
            again = ada.put(a_clip(n), name=str(n))
            assert (again.status_code, again.content) == (200, receipt)
        n = max(n for n, _ in acknowledged) + 1
        assert ada.put(a_clip(n), name=str(n)).status_code in (200, 201)
    left = [path.name for path in (home / "blobs").rglob("*") if path.name.startswith(".tmp")]
    assert left == []
    assert list((home / "staging").iterdir()) == []
