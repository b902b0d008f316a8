from pathlib import Path

import pytest
from tests.fakes.tiny_whisper import save_tiny

from projectone.errors import SettingsError
from projectone.server.registry import hub
from projectone.server.settings import ServerSettings
from projectone.server.work import references
from projectone.server.work.references import resolve_model


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
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
    with pytest.raises(SettingsError, match="expected a folder, 'starter' or"):
        resolve_model(reference, settings)


def test_a_missing_starter_says_where_it_should_be(
    settings: ServerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "STARTER", "starter-of-nobody")
    with pytest.raises(SettingsError, match="checkout of the repository"):
        resolve_model("starter-of-nobody", settings)
