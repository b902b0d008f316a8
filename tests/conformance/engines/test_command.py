"""The same command with the other engine, and what its record says of that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.conformance.engines.runs import clips

from projectone.server.cli import main
from projectone.server.training.config import EngineName
from projectone.waveform.wav import encode_wav


def test_the_record_of_a_run_names_its_engine_and_the_versions(
    engine: EngineName, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    for clip in clips(12):
        (tmp_path / f"{clip.clip_id}.wav").write_bytes(encode_wav(clip.samples))
        rows.append({"audio": f"{clip.clip_id}.wav", "text": clip.text, "speaker": clip.speaker})
    (tmp_path / "manifest.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    data, out = str(tmp_path / "manifest.jsonl"), str(tmp_path / "out")
    options = ["--max-steps", "2", "--dev-share", "0", "--engine", engine, "--json"]
    assert main(["train", "--base", str(base), "--data", data, "--out", out, *options]) == 0
    record = json.loads(Path(json.loads(capsys.readouterr().out)["run"]).read_text(encoding="utf-8"))
    assert record["settings"]["engine"] == engine
    assert ({"torch", "transformers", "peft"} <= record["environment"].keys()) == (engine == "transformers")
