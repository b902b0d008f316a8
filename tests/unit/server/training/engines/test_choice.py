import sys
from pathlib import Path

import pytest

from projectone.errors import TrainingError
from projectone.server.cli import main
from projectone.server.training import engines
from projectone.server.training.config import TrainingConfig
from projectone.server.training.engines.choice import find_steps
from projectone.server.training.engines.steps import MlxSteps


def test_mlx_is_found_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert find_steps(TrainingConfig().engine) is MlxSteps


@pytest.mark.parametrize("missing", ["torch", "transformers", "peft"])
def test_an_engine_without_its_libraries_says_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch", "transformers", "peft"):
        monkeypatch.setitem(sys.modules, name, None if name == missing else sys)
    # As in a process that has not asked for it yet.
    monkeypatch.delitem(sys.modules, "projectone.server.training.engines.transformers", raising=False)
    monkeypatch.delattr(engines, "transformers", raising=False)
    with pytest.raises(TrainingError, match=rf"no {missing}: install projectone\[torch\]"):
        find_steps("transformers")


def test_the_command_says_so_before_it_reads_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("torch", "transformers", "peft"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "projectone.server.training.engines.transformers", raising=False)
    monkeypatch.delattr(engines, "transformers", raising=False)
    nowhere = str(tmp_path / "nowhere")
    assert main(["train", "--base", nowhere, "--data", nowhere, "--out", nowhere, "--engine", "transformers"]) != 0
    assert "install projectone[torch]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"engine": "jax"}, "expected 'mlx' or 'transformers'"),
        ({"precision": "float16", "engine": "transformers"}, "expected 'float32' or 'bfloat16'"),
        ({"precision": "bfloat16"}, "needs the engine transformers"),
    ],
)
def test_settings_that_no_engine_keeps_are_refused(settings: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        TrainingConfig(**settings)  # type: ignore[arg-type]
