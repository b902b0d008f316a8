import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.story import NOTHING_BETTER, STORY

from projectone.demo import loop
from projectone.demo.__main__ import broken_promises, main, prepare_folder
from projectone.demo.backend import BackendError
from projectone.demo.loop import DemoOptions
from projectone.demo.screen import Screen
from projectone.demo.story import Story
from projectone.errors import SettingsError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def play(monkeypatch: pytest.MonkeyPatch, story: Story) -> list[DemoOptions]:
    """Put a finished story in the place of the minutes that it takes."""
    asked: list[DemoOptions] = []

    def run_demo(options: DemoOptions, screen: Screen) -> Story:
        asked.append(options)
        screen.say("it goes on")
        return story

    monkeypatch.setattr(loop, "run_demo", run_demo)
    return asked


def test_an_earlier_demo_is_cleared_away_and_nothing_else_ever_is(tmp_path: Path) -> None:
    out = prepare_folder(tmp_path / "out", None, is_kept=False)
    (out / "server").mkdir()
    (out / "server" / "rows").write_text("old")
    prepare_folder(tmp_path / "out", None, is_kept=False)
    assert not (out / "server").exists()

    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter1").write_text("years of work")
    with pytest.raises(SettingsError, match="name another"):
        prepare_folder(thesis, None, is_kept=False)
    assert (thesis / "chapter1").read_text() == "years of work"


def test_an_earlier_demo_is_moved_aside_with_keep(tmp_path: Path) -> None:
    for number in range(3):
        out = prepare_folder(tmp_path / "out", None, is_kept=True)
        (out / "summary.json").write_text(str(number))
    kept = sorted((path.parent.name, path.read_text()) for path in tmp_path.glob("*/summary.json"))
    assert sorted(content for _, content in kept) == ["0", "1", "2"]
    assert len({name for name, _ in kept}) == 3


def test_a_corpus_inside_the_output_is_not_cleared_away(tmp_path: Path) -> None:
    out = prepare_folder(tmp_path / "out", None, is_kept=False)
    corpus = out / "mine"
    corpus.mkdir()
    with pytest.raises(SettingsError, match="beside the corpus"):
        prepare_folder(tmp_path / "out", corpus, is_kept=False)
    assert corpus.is_dir()


def test_with_json_the_last_line_is_the_summary_and_the_tables_go_elsewhere(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = play(monkeypatch, STORY)
    assert main(["--json", "--out", "demo", "--base", "some/model", "--seed", "5"]) == 0
    (options,) = asked
    assert (options.out, options.model, options.seed, options.corpus) == (here / "demo", "some/model", 5, None)
    captured = capsys.readouterr()
    (line,) = captured.out.splitlines()
    summary = json.loads(line)
    assert summary["target_wer_after"]["value"] < summary["target_wer_before"]["value"]
    assert summary == json.loads((here / "demo" / "summary.json").read_text())
    assert "it goes on" in captured.err
    assert (here / "demo" / "index.html").is_file()


def test_without_json_a_person_reads_it_all_in_one_place(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play(monkeypatch, STORY)
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert "34.0 % →   9.0 %" in shown
    assert "out/demo/index.html" in shown
    assert "quarantined" in shown


def test_a_corpus_that_cannot_be_improved_ends_well_and_says_so(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play(monkeypatch, NOTHING_BETTER)
    assert main([]) == 0
    assert "nothing was released" in " ".join(capsys.readouterr().out.split())


def test_a_broken_promise_is_no_success(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    leaked = replace(STORY, withheld=replace(STORY.withheld, n_hits=1))
    released = replace(STORY, poisoned=replace(STORY.poisoned, status="deployed"))
    changed = replace(STORY, weights_after_poison="d" * 64)
    assert [len(broken_promises(story)) for story in (STORY, leaked, released, changed)] == [0, 1, 1, 1]
    play(monkeypatch, leaked)
    assert main([]) == 1
    assert "BROKEN PROMISE" in capsys.readouterr().out


def test_what_goes_wrong_is_one_clear_message_with_the_logs(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_demo(options: DemoOptions, screen: Screen) -> Story:
        (options.out / "logs").mkdir()
        raise BackendError("worker ended with exit code 3\nthe end of logs/worker.log:\n  | out of luck")

    monkeypatch.setattr(loop, "run_demo", run_demo)
    assert main(["--out", "demo"]) == 2
    said = capsys.readouterr().err
    assert "out of luck" in said
    assert str(Path("demo") / "logs") in said
    assert main(["--corpus", "nowhere"]) == 2


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "projectone-demo --corpus speech/digits --json" in capsys.readouterr().out
