"""`projectone record`: what is said at a terminal is kept, however it ends."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import REPOSITORY
from tests.fakes.device_rooms import TextEngine, text_model
from tests.fakes.release_server import FakeServer

from projectone.device.cli import main
from projectone.device.cli.live_line import LiveLine, tail
from projectone.device.live import Partial

PIECE = (0.3 * np.sin(np.arange(1600) / 5) * 32767).astype("<i2").tobytes()


class FakeMicrophone:
    """Gives pieces as fast as they are read, and the last one only when it is stopped, as a real one does."""

    n_gaps = 0
    n_pieces = 30
    on_read: Callable[[int], None] = staticmethod(lambda n_read: None)

    def __init__(self, device: str | None = None) -> None:
        self.n_read, self.is_running, self.rest = 0, False, [PIECE]

    def __enter__(self) -> FakeMicrophone:
        return self

    def __exit__(self, *_: object) -> None:
        self.is_running = False

    def start(self) -> None:
        self.is_running = True

    def stop(self) -> None:
        self.is_running = False

    def read(self, timeout_s: float) -> bytes:
        if not self.is_running:
            return self.rest.pop() if timeout_s == 0 and self.rest else b""
        self.n_read += 1
        type(self).on_read(self.n_read)
        return PIECE if self.n_read <= self.n_pieces else b""


class FakeKeys:
    """A terminal at which these keys are pressed, one before each piece."""

    are_there = True
    script: list[str] = []

    def __init__(self) -> None:
        self.left = list(self.script)

    def __enter__(self) -> FakeKeys:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def pressed(self) -> str:
        return self.left.pop(0) if self.left else ""


@pytest.fixture(autouse=True)
def _device(
    tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("projectone.device.wiring._load_engine", lambda folder, settings: TextEngine(folder))
    monkeypatch.setattr("projectone.device.cli.microphone.Microphone", FakeMicrophone)
    monkeypatch.setattr("projectone.device.cli.record.Keys", FakeKeys)
    monkeypatch.setattr(FakeMicrophone, "on_read", staticmethod(lambda n_read: None))
    monkeypatch.setattr(FakeKeys, "script", [])
    monkeypatch.setenv("PROJECTONE_HOME", str(tmp_path / "device"))
    monkeypatch.setenv("PROJECTONE_SERVER", server.url)
    monkeypatch.setenv("PROJECTONE_RELEASE_KEY", server.public_key)
    monkeypatch.setenv("PROJECTONE_RELEASE_ROOT", base64.b64encode(server.root).decode())
    server.release(text_model("call Anna at nine"), seq=1, version="1.0.0")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of one command."""
    capsys.readouterr()
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_so_many_seconds_become_a_recording(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run(capsys, "update")
    code, facts = run(capsys, "record", "--seconds", "1.25")
    assert (code, facts["recording"]["text"], facts["recording"]["duration_s"]) == (0, "call Anna at nine", 1.25)
    (listed,) = run(capsys, "recordings")[1]["recordings"]
    assert listed | {"words": []} == facts["recording"] | {"words": []}
    assert list((tmp_path / "device" / "live").iterdir()) == []


def test_space_pauses_and_enter_stops_and_the_last_piece_is_not_lost(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(capsys, "update")
    monkeypatch.setattr(FakeKeys, "script", ["", "", " ", "", "", " ", "", "", "\n"])
    # Two pieces, a pause, three pieces, and what came between the last look and Enter.
    assert run(capsys, "record")[1]["recording"]["duration_s"] == pytest.approx(0.6)


def test_ctrl_c_leaves_it_and_it_is_finished_later(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(n_read: int) -> None:
        if n_read == 12:
            raise KeyboardInterrupt

    run(capsys, "update")
    monkeypatch.setattr(FakeMicrophone, "on_read", staticmethod(interrupt))
    code, facts = run(capsys, "record")
    assert (code, facts["recording"], facts["unfinished"]["seconds"]) == (1, None, 1.2)
    assert "1.2 s until here are safe: projectone record --finish" in facts["error"]["message"]
    (left,) = run(capsys, "record", "--unfinished")[1]["unfinished"]
    assert left["live_id"] == facts["unfinished"]["live_id"]
    assert run(capsys, "record", "--finish")[1]["recordings"][0]["duration_s"] == 1.2
    assert run(capsys, "record", "--unfinished")[1] == {"unfinished": []}


def test_without_a_model_the_sound_is_kept_until_there_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    code, facts = run(capsys, "record", "--seconds", "1")
    assert code == 1
    assert "the 1.0 s until here are safe" in facts["error"]["message"]
    run(capsys, "update")
    assert run(capsys, "record", "--finish", facts["unfinished"]["live_id"])[1]["recordings"][0]["duration_s"] == 1.0


def test_what_was_left_can_be_forgotten(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run(capsys, "record", "--seconds", "1")
    assert len(run(capsys, "record", "--discard")[1]["discarded"]) == 1
    assert list((tmp_path / "device" / "live").iterdir()) == []


def test_nobody_waits_for_an_enter_that_cannot_come(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeKeys, "are_there", False)
    code, facts = run(capsys, "record")
    assert (code, facts["error"]["kind"]) == (2, "usage")
    assert "--seconds N" in facts["error"]["message"]


class Terminal(io.StringIO):
    """Text that is shown on a terminal of 60 columns."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_the_line_shows_the_last_words_and_how_loud_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    screen = Terminal()
    line = LiveLine(screen)
    for level_db in (-96.0, -35.0, 0.0):
        line.note(level_db)
    line.show(65.0, Partial("call Anna at", "nine o'clock"))
    shown = screen.getvalue()
    assert shown.startswith("\r1:05 ")
    assert line.meter().endswith(" ▄█")
    assert "\x1b[2mnine o'clock\x1b[0m" in shown
    assert tail(Partial("one two three four", "five"), 12) == ("four ", "five")
    assert tail(Partial("", ""), 12) == ("", "")


def test_a_correction_without_words_opens_the_editor_with_what_was_heard(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run(capsys, "update")
    run(capsys, "record", "--seconds", "1")
    editor = tmp_path / "editor.py"
    editor.write_text(
        "import pathlib, sys\np = pathlib.Path(sys.argv[1])\np.write_text(p.read_text().replace('Anna', 'Ana'))\n"
    )
    monkeypatch.setenv("EDITOR", f"{sys.executable} {editor}")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setattr("projectone.device.cli.editor._is_terminal", lambda: True)
    assert run(capsys, "correct", "last")[1]["text"] == "call Ana at nine"
    code, facts = run(capsys, "correct", "last")  # nothing left to replace
    assert (code, facts["error"]["message"]) == (1, "nothing was changed")
    monkeypatch.setattr("projectone.device.cli.editor._is_terminal", lambda: False)
    assert run(capsys, "correct", "last")[0] == 2
    assert [path.name for path in (tmp_path / "device").glob(".tmp-*")] == []


LISTEN = """
import sys
from projectone.device.cli.microphone import Microphone
from projectone.errors import SettingsError
try:
    with Microphone() as microphone:
        microphone.start()
        sound = b""
        while len(sound) < 64000:
            sound += microphone.read(10)
        microphone.stop()
except SettingsError as error:
    sys.exit(f"not here: {error}")
print(sound[:64000].hex())
"""


def listen(tmp_path: Path, config: str) -> subprocess.CompletedProcess[str]:
    """Two seconds from the microphone that ALSA is told of."""
    (tmp_path / "asound.conf").write_text(config)
    environment = {"PATH": "/usr/bin:/bin:/sbin:/usr/sbin", "ALSA_CONFIG_PATH": str(tmp_path / "asound.conf")}
    return subprocess.run(
        [sys.executable, "-c", LISTEN], capture_output=True, text=True, cwd=REPOSITORY, env=environment, check=False
    )


def test_a_real_sound_system_gives_every_sample_in_order(tmp_path: Path) -> None:
    sound = np.random.default_rng(0).integers(-9000, 9000, 48_000).astype("<i2").tobytes()
    (tmp_path / "speech.raw").write_bytes(sound)
    shown = 'hint { show on description "test" }'
    done = listen(
        tmp_path,
        f'pcm.null {{ type null {shown} }}\npcm.!default {{ type file slave.pcm "null" file "/dev/null" '
        f'infile "{tmp_path}/speech.raw" format "raw" {shown} }}\n',
    )
    if "not here" in done.stderr:
        pytest.skip(f"PortAudio or ALSA is missing: {done.stderr.strip()[:200]}")
    assert bytes.fromhex(done.stdout.strip()) == sound[:64000], done.stderr


def test_a_machine_without_a_microphone_says_what_to_do(tmp_path: Path) -> None:
    done = listen(tmp_path, "pcm.!default { type hw card 9 }\n")
    if "needs pip install" in done.stderr:
        pytest.skip("PortAudio is missing")
    assert "no microphone can be opened" in done.stderr
    assert "this machine shows none: plug one in" in done.stderr
