"""The device's commands against the real API, as real processes talk: HTTP on loopback, a database, files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlx.utils import tree_map
from tests.fakes.tiny_whisper import save_tiny, say
from tuf.api.metadata import Metadata

from projectone.contracts.releases import ReleaseManifest
from projectone.device.cli import main
from projectone.device.installed import Installed
from projectone.server.cli import main as server_main
from projectone.server.conversion.package import pack
from projectone.server.conversion.updates import make_updates
from projectone.server.corpus.clips import read_clip
from projectone.server.database import open_engine
from projectone.server.delivery.ledger import Ledger, Release
from projectone.server.delivery.opening import open_publisher
from projectone.server.home import open_catalog
from projectone.server.settings import ServerSettings
from projectone.speech.checkpoint import load_checkpoint, save_checkpoint
from projectone.storage.blobs import FileBlobs
from projectone.waveform.wav import encode_wav


@dataclass
class Backend:
    """A server's home, and the address at which its API answers."""

    home: Path
    url: str
    facts: dict[str, Any]

    def release(self, folder: Path, version: str, *, earlier: tuple[Path, ...] = ()) -> Release:
        """Package a model and release it, as the pipeline's last node does."""
        packages = FileBlobs(self.home / "packages")
        package = pack(folder, packages)
        updates = make_updates(folder, earlier, packages, below_bytes=package.size_bytes)

        def draft(seq: int) -> ReleaseManifest:
            return ReleaseManifest(
                channel="stable",
                seq=seq,
                version=version,
                repo_id="projectone/whisper",
                commit="0" * 40,
                base_sha256="0" * 64,
                weights_sha256="0" * 64,
                package_sha256=package.sha256,
                package_size_bytes=package.size_bytes,
                files=package.files,
                updates=updates,
                created_at=datetime.now(UTC),
            )

        engine = open_engine(f"sqlite:///{self.home / 'projectone.sqlite'}")
        try:
            release = Ledger(engine).publish(f"test-{version}", "stable", draft)
            open_publisher(self.home, self.home / "keys", release_days=90).publish(lambda: [release.manifest])
            return release
        finally:
            engine.dispose()

    def opened_clips(self) -> list[bytes]:
        """What is kept of recordings, as the worker reads it."""
        settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(self.home)})
        engine = open_engine(settings.database_url)
        try:
            catalog, blobs = open_catalog(settings, engine), FileBlobs(self.home / "blobs")
            return [read_clip(catalog, blobs, row.clip_sha256) for row in catalog.living()]
        finally:
            engine.dispose()

    def files_with(self, content: bytes) -> list[Path]:
        """Files of the server that hold these bytes."""
        return [path for path in self.home.rglob("*") if path.is_file() and content in path.read_bytes()]


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    home = tmp_path / "server"
    environment = {"PROJECTONE_SERVER_HOME": str(home), "PATH": "", "HOME": str(tmp_path)}
    server = [sys.executable, "-m", "projectone.server.cli"]
    made = subprocess.run([*server, "init", "--json"], env=environment, capture_output=True, text=True, check=True)
    command = [*server, "serve", "--only", "api", "--api-port", "0", "--json"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as api:
        assert api.stdout is not None
        ready = json.loads(api.stdout.readline())
        yield Backend(home, ready["api"], json.loads(made.stdout))
        api.terminate()
        api.communicate(timeout=20)


@pytest.fixture
def device(tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A device's home; the commands find it and the server in the environment."""
    monkeypatch.setenv("PROJECTONE_HOME", str(tmp_path / "device"))
    monkeypatch.setenv("PROJECTONE_SERVER", backend.url)
    monkeypatch.setenv("PROJECTONE_ENROLMENT_CODE", backend.facts["enrolment_code"])
    monkeypatch.setenv("PROJECTONE_RELEASE_KEY", backend.facts["release_public_key"])
    monkeypatch.setenv("PROJECTONE_RELEASE_ROOT", backend.facts["release_root_file"])
    return tmp_path / "device"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def command(*arguments: object) -> dict[str, Any]:
        capsys.readouterr()
        code = main([*map(str, arguments), "--json"])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        answer: dict[str, Any] = json.loads(captured.out)
        return answer

    return command


def moved(old: Path, new: Path) -> Path:
    """The model of `old` with every weight moved by a thousandth of itself."""
    checkpoint = load_checkpoint(old)
    checkpoint.model.update(tree_map(lambda weight: weight * 1.001, checkpoint.model.parameters()))
    new.mkdir()
    save_checkpoint(checkpoint, new)
    return new


@pytest.mark.slow
def test_a_correction_goes_up_and_a_model_comes_down(backend: Backend, device: Path, run: Any, tmp_path: Path) -> None:
    first = backend.release(save_tiny(tmp_path / "one", seed=1), "1.0.0")
    assert run("update")["to_version"] == "1.0.0"
    wav = tmp_path / "note.wav"
    wav.write_bytes(encode_wav(say("red green")))
    recording = run("transcribe", wav)["recordings"][0]
    assert recording["model_version"] == "1.0.0"

    kept = run("correct", "last", "red green")
    assert run("sync")["sent"] == 0
    assert backend.files_with(b"red green") == []
    run("consent", "grant", "corrections", "--yes", "--include-earlier")
    assert run("sync") | {"notices": 0} == {
        "sent": 1,
        "refused": 0,
        "waiting": 0,
        "notices": 0,
        "refusals": [],
        "problem": None,
    }
    assert run("status")["uploaded"] == 1
    assert backend.opened_clips() == [wav.read_bytes()]
    assert backend.files_with(b"red green") == backend.files_with(wav.read_bytes()[4000:4200]) == []
    assert kept["sample_id"] in json.dumps(run("correct", "last", "red green"))

    second = backend.release(save_tiny(tmp_path / "two", seed=2), "1.1.0")
    assert (first.manifest.seq, second.manifest.seq) == (1, 2)
    staging = device / "staging"
    digest = second.manifest.package_sha256
    package = FileBlobs(backend.home / "packages").get(digest)
    (staging / f"{digest}.part").write_bytes(package[:5000])
    (staging / f"{digest}.etag").write_text(f'"{digest}"')
    updated = run("update")
    assert (updated["status"], updated["received_bytes"]) == ("updated", len(package) - 5000)
    assert run("transcribe", wav)["recordings"][0]["model_version"] == "1.1.0"

    third = backend.release(moved(tmp_path / "two", tmp_path / "three"), "1.2.0", earlier=(tmp_path / "two",))
    updated = run("update")
    assert (updated["status"], updated["received_bytes"]) == ("updated", third.manifest.updates[0].size_bytes)
    assert updated["received_bytes"] < third.manifest.package_size_bytes / 2
    assert run("transcribe", wav)["recordings"][0]["model_version"] == "1.2.0"

    run("consent", "withdraw", "corrections")
    assert run("sync")["notices"] == 1
    assert [path for path in (backend.home / "blobs").rglob("*") if path.is_file()] == []
    assert run("status")["uploaded"] == 0
    (receipt,) = run("consent", "erased")["erasures"]
    assert (receipt["scope"], receipt["n_samples"], receipt["is_complete"]) == ("corrections", 1, True)
    assert receipt["releases"] == []


@pytest.mark.slow
def test_what_the_server_refuses_is_kept_here_with_its_reason(
    backend: Backend, device: Path, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.release(save_tiny(tmp_path / "one"), "1.0.0")
    run("update")
    wav = tmp_path / "click.wav"
    wav.write_bytes(encode_wav(say("red")[:160]))  # 10 ms: shorter than any word
    run("transcribe", wav)
    run("consent", "grant", "corrections", "--yes")
    run("correct", "last", "red")
    report = run("sync")
    assert (report["sent"], report["refused"], report["waiting"]) == (0, 1, 0)
    assert run("status")["refused"][0]["reason"] == report["refusals"][0]["reason"]

    monkeypatch.setenv("PROJECTONE_HOME", str(tmp_path / "stranger"))
    monkeypatch.setenv("PROJECTONE_ENROLMENT_CODE", "wrong")
    run("consent", "grant", "voice_donation", "--yes")
    assert main(["sync"]) == 1
    assert run("status")["waiting"] == 1


@contextmanager
def taken_over(backend: Backend, folder: Path, model: Path) -> Iterator[str]:
    """A server of a thief who copied every key that lay on ours: a model of their own, under the highest versions."""
    shutil.copytree(backend.home / "tuf", folder / "tuf")
    shutil.copytree(backend.home / "keys", folder / "keys")
    packages = FileBlobs(folder / "packages")
    package = pack(model, packages)
    (folder / "v1" / "releases").mkdir(parents=True)
    shutil.copy(packages.path_of(package.sha256), folder / "v1" / "releases" / f"{package.sha256}.zip")
    publisher = open_publisher(folder, folder / "keys", release_days=3650)
    publisher._files.unused_version = lambda role, current: 2**31 - 1  # type: ignore[method-assign]
    [document] = (folder / "tuf" / "targets" / "stable" / "float16").iterdir()
    last = ReleaseManifest.from_bytes(document.read_bytes())
    theirs = {"package_sha256": package.sha256, "package_size_bytes": package.size_bytes, "files": package.files}
    stolen = last.model_copy(update={"seq": last.seq + 1, "version": "6.6.6", "updates": (), **theirs})
    publisher.publish(lambda: [stolen])

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.server_address[1]}"
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


@pytest.mark.slow
def test_stolen_keys_are_replaced_and_a_device_that_was_away_walks_the_roots(
    backend: Backend, device: Path, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(backend.home))
    offline = Path(shutil.move(backend.home / "keys" / "releases" / "root-offline", tmp_path / "offline"))
    two = ["--root-key", str(offline / "root-1.key"), "--root-key", str(offline / "root-2.key")]
    backend.release(save_tiny(tmp_path / "first", seed=1), "1.0.0")
    assert run("update")["to_version"] == "1.0.0"
    shutil.copytree(device, tmp_path / "away", symlinks=True)

    with taken_over(backend, tmp_path / "thief", save_tiny(tmp_path / "evil", seed=6)) as thief:
        monkeypatch.setenv("PROJECTONE_SERVER", thief)
        assert run("update", "--again")["to_version"] == "6.6.6"  # nothing is amiss until the root names other keys
        monkeypatch.setenv("PROJECTONE_SERVER", backend.url)
        assert main(["update", "--again"]) != 0  # what is honest looks old beside versions of 2^31

        assert server_main(["keys", "replace", "targets", "rollout", "--stolen", *two]) == 0
        for version in ("1.1.0", "1.2.0"):  # the second number is above the thief's
            backend.release(save_tiny(tmp_path / version, seed=int(version[2])), version)
        assert run("update", "--again")["to_version"] == "1.2.0"

        new = ["--new-keys", "1", "--into", str(tmp_path / "new")]
        lost = Metadata.from_file(str(backend.home / "tuf" / "metadata" / "1.root.json")).signed.roles["root"].keyids[2]
        assert server_main(["keys", "replace-root", "--without", lost, *new, *two]) == 0
        assert len(list((backend.home / "tuf" / "metadata").glob("*.root.json"))) == 3
        monkeypatch.setenv("PROJECTONE_HOME", str(tmp_path / "away"))
        assert run("update", "--again")["to_version"] == "1.2.0"

        monkeypatch.setenv("PROJECTONE_SERVER", thief)
        assert main(["update", "--again"]) != 0
        kept = Installed(tmp_path / "away" / "models").state().current
        assert kept is not None and kept.version == "1.2.0"
