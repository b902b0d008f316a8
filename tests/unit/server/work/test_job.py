"""Work that is ended at any moment is gone on with, ends in the same bytes, and is not done twice."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from tests.fakes.tiny_bert import tiny_bert
from tests.unit.server.training.test_classifiers import EXAMPLES, NONE

from projectone.assist.encoder.bert_files import CONFIG, write_bert
from projectone.server.cli import main
from projectone.server.work import assist
from projectone.server.work.resumable import EXIT_AGAIN
from projectone.storage.files import digest_of
from projectone.storage.locks import exclusive_lock


@pytest.fixture
def work(tmp_path: Path) -> list[str]:
    """A teaching of a few steps into `out`."""
    rows = [{"text": text, "label": label} for text, label in EXAMPLES + NONE]
    (tmp_path / "intents.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    write_bert(encoder, tiny_bert())
    (encoder / CONFIG).write_text(json.dumps(tiny_bert().config.to_json()))
    return [
        *("assist", "train", "--data", str(tmp_path / "intents.jsonl"), "--encoder", str(encoder)),
        *("--epochs", "3", "--noised-share", "0", "--json"),
    ]


class Ended:
    """A progress line that ends the process, as a spot machine does, when the nth step is shown."""

    at = 0
    n = 0

    def __init__(self, stream: object) -> None: ...

    def show(self, text: str, *, is_last: bool = False) -> None:
        Ended.n += 1
        if Ended.n == Ended.at:
            signal.raise_signal(signal.SIGTERM)

    def say(self, text: str) -> None: ...


@pytest.fixture(autouse=True)
def _ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assist, "ProgressLine", Ended)
    monkeypatch.setattr(Ended, "at", 0)
    monkeypatch.setattr(Ended, "n", 0)


def job(capsys: pytest.CaptureFixture[str], result: Path, *words: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["job", "--result", str(result), *words])
    return code, capsys.readouterr().out


def test_a_job_ended_by_sigterm_asks_to_be_started_again_and_ends_in_the_same_bytes(
    work: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, whole = job(capsys, tmp_path / "whole.json", *work, "--out", str(tmp_path / "whole"))
    assert code == 0
    out, result = tmp_path / "out", tmp_path / "results" / "job.json"
    for step in (2, 2, 1):
        Ended.at, Ended.n = step, 0
        assert job(capsys, result, *work, "--out", str(out))[0] == EXIT_AGAIN
        assert not out.exists() and not result.exists()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    Ended.at = 0
    code, said = job(capsys, result, *work, "--out", str(out))
    assert code == 0
    assert json.loads(said) | {"out": ""} == json.loads(whole) | {"out": ""}
    digests = [{path.name: digest_of(path) for path in folder.iterdir()} for folder in (tmp_path / "whole", out)]
    assert digests[0] == digests[1]
    assert [path.name for path in tmp_path.glob("*.teaching")] == []


def test_a_job_that_is_done_only_says_so(work: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, result = [*work, "--out", str(tmp_path / "out")], tmp_path / "job.json"
    first = job(capsys, result, *words)
    n_steps, Ended.n = Ended.n, 0
    assert job(capsys, result, *words) == first
    assert n_steps > 0 and Ended.n == 0
    assert job(capsys, result, *work, "--out", str(tmp_path / "elsewhere"))[0] == 2  # the result of other work
    # Ended after the last file and before the last word.
    result.unlink()
    assert json.loads(job(capsys, result, *words)[1]) == json.loads(first[1])


def test_a_job_that_another_process_does_is_left_to_it(
    work: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "job.json"
    with exclusive_lock(tmp_path / "job.json.lock", what="the job"):
        assert job(capsys, result, *work, "--out", str(tmp_path / "out"))[0] == 2
    assert not (tmp_path / "out").exists()


def test_work_that_fails_is_no_result(work: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "intents.jsonl").write_text('{"text": "alone", "label": null}')
    assert job(capsys, tmp_path / "job.json", *work, "--out", str(tmp_path / "out"))[0] == 2
    assert not (tmp_path / "job.json").exists()


@pytest.mark.parametrize(
    "words",
    [(), ("serve",), ("assist", "judge"), ("evaluate", "--model", "starter", "--data", "x"), ("train", "--nonsense")],
)
def test_only_what_can_go_on_is_a_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert job(capsys, tmp_path / "job.json", *words)[0] == 2
