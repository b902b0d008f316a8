"""Releases in several forms, with real packages, real scores and the real gate."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from threading import Event
from typing import Any

import mlx.core as mx
import pytest
from safetensors.numpy import load_file, save_file
from tests.fakes.tiny_whisper import say, tiny_checkpoint
from tests.fakes.trainer_home import TrainerHome

from projectone.contracts.versions import ModelVersion
from projectone.errors import SettingsError
from projectone.server.cli import main
from projectone.server.conversion.tiers import TIERS, write_tier
from projectone.server.delivery.ledger import Release
from projectone.server.evaluation.scorer import SCORING
from projectone.server.settings import ServerSettings
from projectone.server.work import tiers
from projectone.server.work.publish import publish
from projectone.server.work.run_ports import open_trainer
from projectone.server.work.unchanged import release_unchanged
from projectone.server.work.workshop import Workshop
from projectone.speech.checkpoint import WhisperCheckpoint, load_checkpoint, save_checkpoint, save_packed
from projectone.speech.normalize import normalize_text
from projectone.speech.quantize import Packing
from projectone.speech.transcribe import transcribe_many
from projectone.storage.blobs import FileBlobs
from projectone.storage.files import digest_of
from projectone.waveform.wav import encode_wav

SAYINGS = ("red green", "blue", "black red blue", "green", "red", "black black", "blue red", "red red", "black")


def heard_by(checkpoint: WhisperCheckpoint) -> list[str]:
    clips = [say(text, seed=number, is_lively=True) for number, text in enumerate(SAYINGS)]
    return [normalize_text(said.text) for said in transcribe_many(checkpoint, clips, batch_size=16, options=SCORING)]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, str]]:
    """A model, and clips of which it and its packed forms hear the same: their texts are the truth here."""
    folder = tmp_path_factory.mktemp("taught")
    save_checkpoint(tiny_checkpoint(seed=2, width=64), folder / "base")
    exact = load_checkpoint(folder / "base")
    heard = [heard_by(exact)]
    for bits in (8, 4):
        save_packed(exact, folder / str(bits), Packing(bits))  # type: ignore[arg-type]
        heard.append(heard_by(load_checkpoint(folder / str(bits))))
    alike = {n: texts[0] for n, texts in enumerate(zip(*heard, strict=True)) if len(set(texts)) == 1 and texts[0]}
    assert len(alike) >= 6
    return folder / "base", alike


Make = Callable[..., Workshop]


@pytest.fixture
def make_workshop(taught: tuple[Path, dict[int, str]], tmp_path: Path) -> Iterator[Make]:
    base, texts = taught
    opened: list[tuple[TrainerHome, Workshop]] = []

    def make(names: str) -> Workshop:
        (tmp_path / "base").symlink_to(base)
        home = TrainerHome(tmp_path / "home", hub_url="http://127.0.0.1:1", hub_token="none", TIERS=names)
        rows = []
        for number, text in texts.items():
            (home.folder / "golden" / f"{number}.wav").write_bytes(
                encode_wav(say(SAYINGS[number], seed=number, is_lively=True))
            )
            rows.append({"audio": f"{number}.wav", "text": text, "speaker": f"g{number}"})
        (home.folder / "golden" / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        workshop = Workshop(home.settings, stream=StringIO())
        taken = {"repo_id": "acme/whisper", "commit": "0" * 40, "tag": "v"}
        workshop.handout.register = lambda deployment: taken  # type: ignore[method-assign]
        opened.append((home, workshop))
        return workshop

    yield make
    for home, workshop in opened:
        workshop.close()
        home.close()


def release_base(workshop: Workshop, version: str = "1.0.0") -> Release:
    trainer = open_trainer(workshop, Event())
    with trainer.permit("test", ttl_s=30) as permit:
        return release_unchanged(workshop, permit, workshop.base(), ModelVersion.parse(version))


def messages(workshop: Workshop) -> list[str]:
    return [f"{message.subject}\n{message.body}" for _, message in workshop.outbox.waiting()]


def damaged(model: Path, tier: str, folder: Path) -> None:
    """A fault of quantisation: the scales of the token table have the wrong sign."""
    write_tier(model, tier, folder)
    if tier == "int8":
        path = folder / "model.safetensors"
        tensors = load_file(path)
        tensors["model.decoder.embed_tokens.scales"] *= -1
        save_file(tensors, path, metadata={"format": "pt"})


def test_a_release_has_a_package_for_each_tier_that_passes(make_workshop: Make, tmp_path: Path) -> None:
    workshop = make_workshop("int8,int4")
    release = release_base(workshop)
    assert list(release.tiers) == ["float16", "int4", "int8"]
    sizes = [manifest.package_size_bytes for manifest in release.tiers.values()]
    assert sizes[1] < sizes[2] < sizes[0]
    assert {manifest.seq for manifest in release.tiers.values()} == {1}
    packages = FileBlobs(workshop.home / "packages")
    assert set(packages.keys()) == release.contents
    for tier, bits in (("int8", 8), ("int4", 4)):
        with zipfile.ZipFile(packages.path_of(release.tiers[tier].package_sha256)) as archive:
            archive.extractall(tmp_path / tier)
        assert json.loads((tmp_path / tier / "config.json").read_text())["quantization"]["bits"] == bits
        assert load_checkpoint(tmp_path / tier).dims == load_checkpoint(tmp_path / "base").dims
    assert messages(workshop) == []


def remade(workshop: Workshop, tmp_path: Path, name: str, *options: str) -> str:
    """The digest of what anybody makes of the model that is published."""
    zipped = tmp_path / f"{name}.zip"
    command = ["convert", "--model", str(workshop.models.find(workshop.base())), *options, "--zip", str(zipped)]
    assert main([*command, "--out", str(tmp_path / f"{name}-remade")]) == 0
    return digest_of(zipped)


def test_whoever_has_the_published_weights_makes_the_package_of_a_tier_anew_to_the_byte(
    make_workshop: Make, tmp_path: Path
) -> None:
    workshop = make_workshop("int8,int4")
    made = release_base(workshop).tiers
    for tier, bits in (("int8", "8"), ("int4", "4")):
        packed = remade(workshop, tmp_path, tier, "--to", "packed", "--bits", bits)
        assert packed == made[tier].package_sha256
    assert remade(workshop, tmp_path, "plain", "--to", "transformers") == made["float16"].package_sha256


def test_a_tier_that_fewer_bits_damaged_is_left_out_alone_and_a_person_told(
    make_workshop: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = make_workshop("int8,int4")
    monkeypatch.setattr(tiers, "write_tier", damaged)
    release = release_base(workshop)
    assert list(release.tiers) == ["float16", "int4"]
    assert set(FileBlobs(workshop.home / "packages").keys()) == release.contents
    said = "\n".join(messages(workshop))
    assert "the tier int8 is not released" in said
    assert "fewer bits" in said
    assert "int4 is not" not in said


def test_whoever_publishes_reads_at_once_which_tier_is_missing_and_why(
    make_workshop: Make, taught: tuple[Path, dict[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = make_workshop("int8")
    monkeypatch.setattr(tiers, "write_tier", damaged)
    with open_trainer(workshop, Event()).permit("test", ttl_s=30) as permit:
        told = publish(workshop, permit, str(taught[0]), ModelVersion.parse("1.0.0"))
    assert told["tiers"] == ["float16"]
    assert messages(workshop) == []
    assert "the tier int8 is not released" in (workshop.home / "logs" / "notifications.log").read_text()


def test_without_the_gate_the_damage_would_have_gone_out(make_workshop: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same damage, and a judge that sees nothing."""
    workshop = make_workshop("int8")
    monkeypatch.setattr(tiers, "write_tier", damaged)
    monkeypatch.setattr(tiers.TierShop, "score", lambda shop, model, on_progress: workshop.score(model.weights_sha256))
    assert list(release_base(workshop).tiers) == ["float16", "int8"]


def test_a_form_that_cannot_be_made_costs_nobody_else_the_release(
    make_workshop: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = make_workshop("int8")

    def overflow(model: Path, tier: str, folder: Path) -> None:
        checkpoint = load_checkpoint(model)
        checkpoint.model.decoder.ln.weight = checkpoint.model.decoder.ln.weight * mx.array(1e30)
        save_packed(checkpoint, folder, Packing(8))

    monkeypatch.setattr(tiers, "write_tier", overflow)
    assert list(release_base(workshop).tiers) == ["float16"]
    assert "cannot hold" in "\n".join(messages(workshop))


@pytest.mark.slow
def test_core_ml_packages_go_out_as_folders_judged_by_their_own_numbers(make_workshop: Make, tmp_path: Path) -> None:
    pytest.importorskip("coremltools", reason="needs the extra coreml")
    workshop = make_workshop("coreml-float16")
    release = release_base(workshop)
    assert list(release.tiers) == ["float16", "coreml-float16"]
    paths = {file.path for file in release.tiers["coreml-float16"].files}
    assert "TextDecoder.mlpackage/Data/com.apple.CoreML/weights/weight.bin" in paths
    assert "whisperkit.json" in paths
    again = remade(workshop, tmp_path, "phone", "--to", "whisperkit")
    assert again == release.tiers["coreml-float16"].package_sha256


def test_what_devices_have_is_the_newest_package_of_their_tier(make_workshop: Make, monkeypatch: Any) -> None:
    workshop = make_workshop("int8")
    assert workshop.tiers.released("int8") is None
    first = release_base(workshop)
    monkeypatch.setattr(tiers, "write_tier", damaged)
    assert list(release_base(workshop, "1.0.1").tiers) == ["float16"]
    found = workshop.tiers.released("int8")
    assert found is not None
    assert found.package_sha256 == first.tiers["int8"].package_sha256


def test_the_setting_knows_the_tiers_that_can_be_made() -> None:
    names = ",".join(TIERS[1:])
    assert ServerSettings.from_env({"PROJECTONE_SERVER_TIERS": names}).tiers == TIERS[1:]
    for wrong in ("int2", "int8,int8", "float16"):
        with pytest.raises(SettingsError, match="each once"):
            ServerSettings.from_env({"PROJECTONE_SERVER_TIERS": wrong})
