import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from projectone.demo import backend as backend_module
from projectone.demo.backend import Backend, BackendError, child_environment, tail


def backend(folder: Path, **variables: str) -> Backend:
    return Backend(folder / "server", folder / "logs", os.environ, variables)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_nothing_that_the_machine_is_set_up_for_reaches_the_demo(tmp_path: Path) -> None:
    environ = {
        "PATH": "/bin",
        "PROJECTONE_SERVER_SLACK_WEBHOOK_URL": "https://hooks.example.org/secret",
        "PROJECTONE_SERVER_HOME": "/srv/the-real-one",
        "HF_TOKEN": "secret",
        "HTTPS_PROXY": "http://proxy:3128",
        "no_proxy": "x",
    }
    given = child_environment(environ, {"HOME": "/demo"}, cache=tmp_path)
    assert given["PATH"] == "/bin"
    assert given["PROJECTONE_SERVER_HOME"] == "/demo"
    assert not {name for name in given if "SLACK" in name or name == "HF_TOKEN" or name.lower().endswith("_proxy")}
    assert "secret" not in " ".join(given.values())


@pytest.mark.slow
def test_a_command_that_fails_shows_the_end_of_its_log_and_where_it_is(tmp_path: Path) -> None:
    with (
        backend(tmp_path, MIN_NEW_SAMPLES="7") as running,
        pytest.raises(BackendError, match=r"exit code 2") as caught,
    ):
        running.command("publish", "--model", "/nowhere", "--version", "one")
    assert str(tmp_path / "logs" / "publish.log") in str(caught.value)
    assert "  | " in str(caught.value)


@pytest.mark.slow
def test_processes_end_with_the_demo_even_if_it_breaks(tmp_path: Path) -> None:
    pids = []
    with pytest.raises(RuntimeError, match="broken"), backend(tmp_path) as running:
        running.command("init")
        pids.append(running.start("hub", "serve", "--only", "hub", is_ready="ready:"))
        assert is_alive(pids[0])
        raise RuntimeError("broken")
    assert not is_alive(pids[0])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux reserves a port that way")
def test_nobody_else_is_given_the_ports_of_a_backend_that_is_not_started_yet(tmp_path: Path) -> None:
    with backend(tmp_path) as waiting:
        for port in (waiting.settings.api_port, waiting.settings.hub_port):
            with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
                stranger.bind(("127.0.0.1", port))
            with socket.create_server(("127.0.0.1", port)) as ours:
                assert ours.getsockname()[1] == port
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", waiting.settings.api_port))


def test_a_process_that_dies_is_noticed_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "import sys; print('out of luck', file=sys.stderr); sys.exit(3)"
    monkeypatch.setattr(backend_module, "_command", lambda *arguments: [sys.executable, "-c", words])
    with backend(tmp_path) as running, pytest.raises(BackendError, match=r"(?s)exit code 3.*out of luck"):
        running.start("api", "serve", is_ready="ready:")


def test_a_process_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    monkeypatch.setattr(backend_module, "_command", lambda *arguments: [sys.executable, "-c", deaf])
    monkeypatch.setattr(backend_module, "_STOP_TIMEOUT_S", 0.3)
    running = backend(tmp_path)
    pid = running.start("worker", "work", is_ready="deaf")
    begun = time.monotonic()
    running.stop()
    assert not is_alive(pid)
    assert time.monotonic() - begun < 50
    running.stop()


def test_the_end_of_a_log_is_short_and_an_empty_one_says_so(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    assert "(nothing)" in tail(log)
    log.write_text("".join(f"line {number}\n" for number in range(1000)))
    assert tail(log, 3).splitlines()[1:] == ["  | line 997", "  | line 998", "  | line 999"]


INTERRUPTED = """
import os, signal, sys, time
from pathlib import Path
from projectone.demo import backend as b
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background inherits it ignored
from projectone.demo.__main__ import _ended_by_signals
b._command = lambda *arguments: [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
try:
    with _ended_by_signals(), b.Backend(Path(sys.argv[1]), Path(sys.argv[1]) / "logs", os.environ, {}) as running:
        print(running.start("api", is_ready="up"), flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_a_polite_kill_end_the_processes_too(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "server")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        pid = int(demo.stdout.readline())
        demo.send_signal(number)
        assert demo.wait(50) == 130
    assert not is_alive(pid)
