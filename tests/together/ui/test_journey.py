"""The whole way of one person: speak, see it misheard, correct it, allow it to be sent, get a better model.

Everything is the real thing: the server is a process of its own with its API and its Hub, the models are Whisper
checkpoints that it scores, packages and signs, the device decodes with them, and a person's recording is what the
microphone of Chromium hears. Only the first model is made worse on purpose: the starter with noise on its weights.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_map_with_path
from playwright.sync_api import Page, Playwright, expect
from tests.conftest import REPOSITORY
from tests.fakes.server_process import ServerProcess, running
from tests.together.ui.conftest import TOKEN, launch, serving

from projectone.device.client import DeviceClient
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.speech.checkpoint import load_checkpoint, save_checkpoint
from projectone.waveform.resample import to_16k_mono
from projectone.waveform.wav import encode_wav

STARTER = REPOSITORY / "models" / "starter"
SPOKEN, SAID = "audio/train/fclc/cen8-fclc-b.flac", "june eleventh nineteen sixty seven"
JUDGES = ("audio/train/fash/an251-fash-b.flac", "audio/train/fash/an253-fash-b.flac")
NOISE = 1.5  # standard deviations of each matrix of the decoder
PATIENCE_MS = 120_000
pytestmark = pytest.mark.slow


def wav_of(path: Path, *, before_s: float = 0.0, after_s: float = 0.0) -> bytes:
    soundfile = pytest.importorskip("soundfile", reason="FLAC is decoded by the extra `decoders`")
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    sound = to_16k_mono(samples, rate_hz)
    padded = np.pad(sound, (round(before_s * 16_000), round(after_s * 16_000)))
    return encode_wav(padded + np.random.default_rng(0).normal(0, 5e-4, padded.size).astype(np.float32))


def write_worse_model(folder: Path) -> None:
    checkpoint = load_checkpoint(STARTER)
    mx.random.seed(0)

    def shaken(name: str, weight: Any) -> Any:
        if weight.ndim != 2 or "decoder" not in name or "embed" in name:
            return weight
        return weight + (NOISE * mx.std(weight) * mx.random.normal(weight.shape)).astype(weight.dtype)

    checkpoint.model.update(tree_map_with_path(shaken, checkpoint.model.parameters()))
    save_checkpoint(checkpoint, folder)


class Backend:
    """The real server, and its command line."""

    def __init__(self, process: ServerProcess, environment: dict[str, str]) -> None:
        self._environment = environment | {"PROJECTONE_SERVER_HUB_ENDPOINT": process.hub}
        self.api = process.api
        self.made = self.run("init")

    def run(self, *arguments: str) -> Any:
        command = [sys.executable, "-m", "projectone.server.cli", *arguments, "--json"]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(autouse=True)
def _patience() -> Iterator[None]:
    expect.set_options(timeout=PATIENCE_MS)
    yield
    expect.set_options(timeout=None)


@pytest.fixture
def backend(tmp_path: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    golden = tmp_path / "golden"
    golden.mkdir()
    manifest = real_data / "an4" / "manifest.jsonl"
    texts = {row["audio"]: row for row in map(json.loads, manifest.read_text().splitlines())}
    rows = []
    for number, name in enumerate(JUDGES):
        (golden / f"{number}.wav").write_bytes(wav_of(real_data / "an4" / name))
        rows.append({"audio": f"{number}.wav", "text": texts[name]["text"], "speaker": texts[name]["speaker"]})
    (golden / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setenv("PROJECTONE_SERVER_GOLDEN", str(golden / "manifest.jsonl"))
    with running(tmp_path / "server") as process:
        yield Backend(process, {**os.environ, "PROJECTONE_SERVER_HOME": str(tmp_path / "server")})


@pytest.fixture
def client(tmp_path: Path, backend: Backend) -> Iterator[DeviceClient]:
    settings = DeviceSettings(
        home=tmp_path / "device",
        server=backend.api,
        enrolment_code=backend.made["enrolment_code"],
        release_keys=(backend.made["release_public_key"],),
        release_root=Path(backend.made["release_root_file"]).read_bytes(),
    )
    with open_client(settings) as opened:
        yield opened


def speak(page: Page, origin: str) -> str:
    """Record what the microphone hears; gives what was written down."""
    page.goto(origin)
    page.get_by_role("button", name="Record", exact=True).press("Enter")
    expect(page.locator("#time")).to_have_text("0:05")
    page.get_by_role("button", name="Stop and write it down").press("Enter")
    expect(page.locator("#recorder")).to_have_attribute("data-state", "done")
    return page.locator("#stable").inner_text()


def correct_by_keyboard(page: Page) -> None:
    page.get_by_role("link", name="Look at it").press("Enter")
    page.locator("#words [tabindex='0']").focus()
    while page.locator("#words .word").count() > 1:
        page.keyboard.press("Delete")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+a")
    page.keyboard.type(SAID)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#fate")).to_have_text("Your correction is kept on this device, and is not sent.")


def allow_and_send(page: Page, origin: str) -> None:
    page.goto(f"{origin}/privacy")
    purpose = page.locator("#purpose-corrections")
    purpose.get_by_label("an adult").check()
    purpose.get_by_label("Also send the 1 from before").check()
    purpose.get_by_role("switch").press("Space")
    expect(page.locator("#outcome")).to_contain_text("It is on.")
    page.get_by_role("button", name="Send now").press("Enter")
    expect(page.locator(".departure")).to_have_count(1)
    expect(page.locator(".departure")).to_contain_text(SAID)


def test_what_was_misheard_and_corrected_is_heard_by_the_next_model(
    playwright: Playwright, backend: Backend, client: DeviceClient, tmp_path: Path, real_data: Path
) -> None:
    voice = tmp_path / "voice.wav"
    voice.write_bytes(wav_of(real_data / "an4" / SPOKEN, before_s=1.0, after_s=3.0))
    write_worse_model(tmp_path / "worse")
    browser = launch(playwright, voice)
    with serving(client) as origin:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{origin}/enter?token={TOKEN}")
        page.wait_for_url(f"{origin}/")

        backend.run("publish", "--model", str(tmp_path / "worse"), "--version", "1.0.0")
        page.goto(f"{origin}/model")
        page.get_by_role("button", name="Look for a model").press("Enter")
        page.get_by_role("button", name="Bring it now").press("Enter")
        expect(page.get_by_role("heading", name="Model 1.0.0")).to_be_visible()

        heard = speak(page, origin)
        assert heard != SAID
        correct_by_keyboard(page)
        allow_and_send(page, origin)
        assert [point.whereabouts for point in client.sent()] == ["sent"]
        assert backend.run("status")["samples"]["waiting"] == 1
        page.goto(f"{origin}/recordings/last")
        expect(page.locator("#fate")).to_contain_text("This was sent on")

        backend.run("publish", "--model", str(STARTER), "--version", "1.1.0")
        page.goto(f"{origin}/model")
        page.locator("#look").press("Enter")
        expect(page.get_by_role("region", name="What is new in 1.1.0")).to_contain_text("to fetch")
        page.get_by_role("button", name="Update now").press("Enter")
        expect(page.get_by_role("heading", name="Model 1.1.0")).to_be_visible()
        expect(page.locator(".comparison")).to_contain_text("1.0.0 to 1.1.0")
        expect(page.locator(".comparison")).to_contain_text("model 1.1.0 got 0")

        assert speak(page, origin) == SAID
    browser.close()
