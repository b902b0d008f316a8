"""A real model of random weights: in this process, and behind a real `mlx_lm.server`. The same seed says the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.generators import asked
from tests.fakes.tiny_language_model import MlxServer, make_tiny_language_model

from projectone.assist.generation.deadline import DeadlineGenerator
from projectone.assist.generation.fallback import FallbackGenerator
from projectone.assist.generation.hosted import HostedGenerator, HostedServer
from projectone.assist.generation.local.language_model import LocalGenerator
from projectone.assist.generation.protocol import Answer, GenerationError
from projectone.assist.generation.templates import TemplateGenerator
from projectone.assist.generation.wordings import WORDINGS
from projectone.device.cli import main
from projectone.errors import SettingsError

LONG_S = 120.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_language_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module", autouse=True)
def mlx_server(folder: Path) -> Iterator[MlxServer]:
    """Begun before the first test, so that it starts while the local model answers."""
    server = MlxServer(folder)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def local(folder: Path) -> LocalGenerator:
    return LocalGenerator(folder)


@pytest.fixture(scope="module")
def hosted(mlx_server: MlxServer) -> Iterator[HostedGenerator]:
    mlx_server.wait()
    hosted = HostedGenerator(HostedServer(base_url=mlx_server.base_url, model="default_model"))
    yield hosted
    hosted.close()


def drawn(seed: int, **changes: object):  # type: ignore[no-untyped-def]  # noqa: ANN201
    return asked("how warm", **{"max_tokens": 8, "temperature": 0.9, "seed": seed, "deadline_s": LONG_S, **changes})


def test_the_same_seed_says_the_same_on_any_thread_and_another_one_something_else(local: LocalGenerator) -> None:
    first = local.generate(drawn(5))
    assert local.generate(drawn(6)).text != first.text
    assert DeadlineGenerator(local).generate(drawn(5)).text == first.text
    assert (first.by, first.seed, first.cost.answer_tokens, first.cost.micros) == ("local", 5, 8, 0)


def test_a_local_stream_gives_pieces_and_then_the_same_answer(local: LocalGenerator) -> None:
    *pieces, answer = local.stream(drawn(5))
    assert (
        isinstance(answer, Answer) and "".join(map(str, pieces)).strip() == answer.text == local.generate(drawn(5)).text
    )


def test_a_local_model_stops_when_the_time_is_over(local: LocalGenerator) -> None:
    with pytest.raises(GenerationError) as caught:
        local.generate(drawn(5, deadline_s=0.001))
    assert caught.value.reason == "timeout"


def test_a_prompt_that_does_not_fit_is_refused_before_it_is_read(local: LocalGenerator) -> None:
    with pytest.raises(GenerationError) as caught:
        local.generate(asked("a" * 7_000, deadline_s=LONG_S))
    assert caught.value.reason == "too-long"


def test_a_version_is_that_of_the_bytes(folder: Path, tmp_path: Path) -> None:
    other = make_tiny_language_model(tmp_path / "tiny", seed=1)
    assert LocalGenerator(folder).model_version != LocalGenerator(other).model_version
    (other / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    assert LocalGenerator(folder).model_version == LocalGenerator(other).model_version


def test_a_folder_that_holds_no_model_is_one_more_reason(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        LocalGenerator(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    answer = FallbackGenerator([LocalGenerator(tmp_path)], TemplateGenerator(WORDINGS)).generate(drawn(1))
    assert (answer.by, answer.failed[0].reason) == ("template", "failed")


def test_a_real_server_answers_like_the_model_itself(local: LocalGenerator, hosted: HostedGenerator) -> None:
    first = hosted.generate(drawn(5))
    assert first.text == local.generate(drawn(5)).text == hosted.generate(drawn(5)).text
    assert hosted.generate(drawn(6)).text != first.text
    assert (first.cost.prompt_tokens, first.cost.answer_tokens) == (local.generate(drawn(5)).cost.prompt_tokens, 8)


def test_a_real_server_streams_its_answer(hosted: HostedGenerator) -> None:
    *pieces, answer = hosted.stream(drawn(5))
    assert isinstance(answer, Answer) and len(pieces) > 1
    assert "".join(map(str, pieces)).strip() == answer.text == hosted.generate(drawn(5)).text
    assert answer.cost.answer_tokens == 8


def test_a_real_server_that_is_killed_leaves_nobody_waiting(mlx_server: MlxServer, hosted: HostedGenerator) -> None:
    chain = FallbackGenerator([DeadlineGenerator(hosted)], TemplateGenerator(WORDINGS))
    assert chain.generate(drawn(5)).by == "hosted"
    mlx_server.stop()
    answer = chain.generate(drawn(5))
    assert (answer.by, answer.failed[0].reason) == ("template", "down")


def test_a_device_asks_the_model_it_has_and_keeps_what_it_said(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROJECTONE_HOME", str(tmp_path / "device"))
    monkeypatch.setenv("PROJECTONE_ANSWERS_LOCAL_MODEL", str(folder))
    monkeypatch.setenv("PROJECTONE_ANSWERS_DEADLINE_S", str(LONG_S))
    found = []
    for words in ("how warm is it", "How warm is it?"):
        assert main(["answer", words, "--max-tokens", "8", "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert [(one["by"], one["cached"]) for one in found] == [("local", "no"), ("local", "near")]
    assert found[0]["text"] == found[1]["text"] != ""
