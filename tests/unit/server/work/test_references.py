from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from tests.fakes.tiny_whisper import save_tiny

from projectone.contracts.releases import ReleaseFile, ReleaseManifest
from projectone.errors import SettingsError
from projectone.server.cli import main
from projectone.server.database import open_engine
from projectone.server.delivery.ledger import Ledger
from projectone.server.pipeline.models import ModelFolders
from projectone.server.registry import hub
from projectone.server.settings import ServerSettings
from projectone.server.work import references
from projectone.server.work.references import resolve_model

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServerSettings:
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(tmp_path / "home"))
    return ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(tmp_path / "home")})


class OneModelHub:
    """A Hub that holds one model at every name, and counts how often it is asked."""

    asked: list[tuple[str, str | None]] = []

    def __init__(self, endpoint: str | None, token: str | None, repo_id: str) -> None:
        self._repo_id = repo_id

    def fetch_foreign(self, revision: str | None, into: Path) -> str:
        self.asked.append((self._repo_id, revision))
        save_tiny(into)
        return "0" * 40


def test_a_folder_is_itself(settings: ServerSettings, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model")
    assert resolve_model(str(folder), settings) == folder


def test_the_starter_is_meant_where_a_folder_of_that_name_is_near(
    settings: ServerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tiny(tmp_path / "starter")
    monkeypatch.chdir(tmp_path)
    starter = resolve_model("starter", settings)
    assert starter.parts[-2:] == ("models", "starter")
    assert resolve_model("./starter", settings) == Path("starter")


def test_production_is_the_newest_release_of_the_channel(settings: ServerSettings, tmp_path: Path) -> None:
    assert main(["init"]) == 0
    with pytest.raises(SettingsError, match="nothing is released on channel 'stable' yet"):
        resolve_model("production", settings)
    models = ModelFolders(settings.home / "models")
    digests = [models.keep_copy(save_tiny(tmp_path / f"model{seed}", seed=seed)) for seed in (1, 2, 3)]
    engine = open_engine(settings.database_url)
    try:
        for channel, digest in zip(("stable", "stable", "beta"), digests, strict=True):
            draft = partial(release_of, channel=channel, weights_sha256=digest)
            Ledger(engine).publish(f"{channel}-{digest[:8]}", channel, draft)
    finally:
        engine.dispose()
    assert resolve_model("production", settings) == models.path_of(digests[1])


def release_of(seq: int, *, channel: str, weights_sha256: str) -> ReleaseManifest:
    return ReleaseManifest(
        channel=channel,
        seq=seq,
        version=f"1.0.{seq}",
        repo_id="acme/whisper",
        commit="0" * 40,
        base_sha256="1" * 64,
        weights_sha256=weights_sha256,
        package_sha256="3" * 64,
        package_size_bytes=10,
        files=(ReleaseFile(path="model.safetensors", sha256=weights_sha256, size_bytes=10),),
        created_at=NOW,
    )


def test_a_hub_model_is_fetched_once_and_stays_the_same(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "HubRegistry", OneModelHub)
    monkeypatch.setattr(OneModelHub, "asked", [])
    first = resolve_model("openai/whisper-tiny", settings)
    assert resolve_model("openai/whisper-tiny", settings) == first
    assert first.is_relative_to(settings.home)
    pinned = resolve_model("openai/whisper-tiny@abc", settings)
    assert pinned != first
    assert OneModelHub.asked == [("openai/whisper-tiny", None), ("openai/whisper-tiny", "abc")]


@pytest.mark.parametrize("reference", ["nothing", "./not/here", "/not/here", "a/b/c", "../x", "owner/na me", "\0"])
def test_what_is_no_model_is_refused_with_what_was_expected(reference: str, settings: ServerSettings) -> None:
    with pytest.raises(SettingsError, match="expected a folder, 'starter', 'production' or"):
        resolve_model(reference, settings)


def test_a_missing_starter_says_where_it_should_be(
    settings: ServerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "STARTER", "starter-of-nobody")
    with pytest.raises(SettingsError, match="checkout of the repository"):
        resolve_model("starter-of-nobody", settings)
