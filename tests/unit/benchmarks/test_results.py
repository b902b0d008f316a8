"""The script of docs/results.md on a language of tones: it resumes, and its numbers are those of the models."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import REPOSITORY
from tests.fakes.benchmark_scripts import load_script
from tests.fakes.tiny_whisper import WORDS, save_tiny, say

from projectone.waveform.wav import encode_wav


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = load_script("results", monkeypatch)
    small = module.Size(
        corrections=54,
        clips_of_a_test=6,
        replay=20,
        max_steps=2,
        seeds=(0,),
        people=("george",),
        replays=(True,),
        sequences=("mwer",),
    )
    monkeypatch.setattr(module, "QUICK", small)
    return module


@pytest.fixture
def data(tmp_path: Path) -> Path:
    def write(name: str, clips: dict[str, int]) -> None:
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        rows = []
        for speaker, n_clips in clips.items():
            for i in range(n_clips):
                word = list(WORDS)[i % 4]
                (folder / f"{speaker}-{i}.wav").write_bytes(encode_wav(say(word, seed=i)))
                rows.append({"audio": f"{speaker}-{i}.wav", "text": word, "speaker": speaker})
        (folder / "manifest.jsonl").write_text("\n".join(json.dumps(row) for row in rows))

    write("fsdd", {"george": 60, "yweweler": 8, "jackson": 4})
    write("an4", {"fbbh": 4, "mcen": 4, "heard": 20})
    return tmp_path / "data"


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_no_clip_is_both_learned_from_and_judged(script: Any, data: Path) -> None:
    speech = script.read_speech(data, "george", script.QUICK)
    assert {clip.speaker for clip in speech.corrections} == {"george"}
    assert {clip.speaker for clip in speech.replay} == {"heard"}
    assert [sorted({c.speaker for c in clips}) for clips in speech.tests.values()] == [
        ["george"],
        ["jackson", "yweweler"],
        ["fbbh", "mcen"],
    ]
    learned = {clip.clip_id for clip in speech.corrections}
    assert learned & {clip.clip_id for clip in speech.tests["same"]} == set()
    assert len(speech.tests["same"]) == 6


def test_it_ends_in_a_line_for_programs_and_does_no_cell_twice(
    script: Any, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = save_tiny(tmp_path / "base")
    command = ["--quick", "--json", "--data", str(data), "--base", str(base), "--out", str(tmp_path / "out")]
    script.main(command)
    first = last_line(capsys)
    assert first["name"] == "results"
    assert [row["name"] for row in first["rows"]] == [
        "base",
        "full + replay",
        "full + replay + interpolation",
        "lora + replay",
        "lora + replay + interpolation",
        "full + replay + mwer",
        "full + replay + mwer + interpolation",
    ]
    assert [len(row["kept"]) for row in first["rows"] if "kept" in row] == [1, 1]
    assert first["ratios"].keys() == {f"{m}_{t}" for m in ("full", "lora") for t in ("same", "other", "general")}
    assert first["conditions"]["clips"] == {"same": 6, "other": 6, "general": 6}

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a cell that was done is done again")

    monkeypatch.setattr(script, "run", never)
    monkeypatch.setattr(script, "judged", never)
    script.main(command)
    assert last_line(capsys) == first


def test_without_the_recordings_it_says_so(script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script.main(["--quick", "--json", "--data", str(tmp_path)])
    assert "no fsdd and an4" in last_line(capsys)["left_out"]


def cells(script: Any, before: int, tuned: int, mixed: int) -> tuple[dict[str, Any], list[Any]]:
    """Notes as if every clip of ten words had this many errors."""

    def errors(n: int) -> dict[str, dict[str, list[Any]]]:
        return {test: {f"{test}-{i}": [f"s{i % 2}", n, 10] for i in range(6)} for test in script.TESTS}

    result = {
        "alpha": 0.5,
        "curve": [{"alpha": a, "dev_wer": 0.5 - a / 4, "general_wer": 0.1 + a / 10} for a in (0.0, 0.5, 1.0)],
        "wall_s": 2.0,
        "errors": {"tuned": errors(tuned), "mixed": errors(mixed)},
    }
    staged = {**result, "sequence": {"is_kept": True}, "errors": {"tuned": errors(tuned - 1), "mixed": errors(mixed)}}
    return {"george": {"errors": errors(before)}}, [
        *((script.Cell("george", method, True, 0), result) for method in script.METHODS),
        (script.Cell("george", "full", True, 0, "mwer"), staged),
    ]


def test_rates_gains_and_curves_are_those_of_the_counts(script: Any, tmp_path: Path) -> None:
    report = script.report_on(*cells(script, 4, 2, 1), script.QUICK, save_tiny(tmp_path / "base"))
    rows = {row["name"]: row for row in report["rows"]}
    assert rows["base"]["same"]["wer"] == [0.4, 0.4, 0.4]
    assert rows["full + replay"]["other"]["wer"] == [0.2, 0.2, 0.2]
    assert rows["lora + replay + interpolation"]["general"]["gain"] == [0.3, 0.3, 0.3]
    assert report["ratios"]["full_same"] == 0.25
    assert [row["same"] for row in report["stages"]] == [[0.1, 0.1, 0.1], [0.0, 0.0, 0.0]]
    assert report["curves"]["full + replay"] == [[0.0, 0.5, 0.1], [0.5, 0.375, 0.15], [1.0, 0.25, 0.2]]
    assert "| full + replay + interpolation | 10.0 (10.0 to 10.0; seeds 10.0 to 10.0) | +30.0" in script.table_of(
        report
    )


def test_the_page_gets_table_and_plot_and_keeps_its_words(script: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report = script.report_on(*cells(script, 4, 2, 1), script.QUICK, save_tiny(tmp_path / "base"))
    docs = tmp_path / "docs"
    docs.mkdir()
    page = (REPOSITORY / "docs" / "results.md").read_text()
    (docs / "results.md").write_text(page)
    script.write_docs(report, docs)
    written = (docs / "results.md").read_text()
    assert "| lora + replay |" in written
    assert "| mwer | +10.0 (+10.0 to +10.0) |" in written
    marked = re.compile(r"<!-- results -->.*<!-- end -->", re.S)
    assert marked.sub("", written) == marked.sub("", page)
    assert (docs / "images" / "results.svg").read_text().startswith("<?xml")
    before = (docs / "images" / "results.svg").read_bytes()
    script.write_docs(report, docs)
    assert (docs / "images" / "results.svg").read_bytes() == before
