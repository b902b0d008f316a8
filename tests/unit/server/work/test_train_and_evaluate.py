"""The two commands on a small folder of tones, from the door to the disk."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jiwer
import pytest
from tests.fakes.tiny_whisper import WORDS, save_tiny, say

from projectone.server.cli import main
from projectone.speech.int8 import Int8Whisper
from projectone.speech.lora import fuse_checkpoint
from projectone.speech.normalize import normalize_text
from projectone.storage.files import digest_of
from projectone.storage.locks import exclusive_lock
from projectone.waveform.wav import encode_wav


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "base")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "speech"
    folder.mkdir()
    rows = []
    for i in range(70):
        text = " ".join(list(WORDS)[(i + k) % 4] for k in range(1 + i % 2))
        (folder / f"{i}.wav").write_bytes(encode_wav(say(text, seed=i)))
        part = "test" if i % 7 == 0 else "train"
        rows.append({"audio": f"{i}.wav", "text": text, "speaker": f"s{i % 3}", "accent": f"a{i % 2}", "split": part})
    (folder / "manifest.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, dict[str, Any], str]:
    code = main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return code, json.loads(said.out.splitlines()[-1]) if said.out.startswith("{") else {}, said.err


def test_a_model_is_trained_and_then_compared_with_its_base(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code, result, said = run(
        capsys,
        *("train", "--base", base, "--data", data, "--split", "train", "--out", out, "--json"),
        *("--epochs", 2, "--learning-rate", 0.003),
    )
    assert code == 0
    assert result["n_clips"] + result["n_dev_clips"] == 60
    assert "judge" in said
    assert Path(result["log"]).is_file()
    code, report, _ = run(
        capsys, "evaluate", "--model", out, "--data", data, "--split", "test", "--against", base, "--json"
    )
    assert code == 0
    assert report["model_sha256"] == result["weights_sha256"]
    assert report["n_clips"] == 10
    assert set(report["speakers"]) == {"s0", "s1", "s2"}
    assert set(report["accents"]) == {"a0", "a1"}
    assert report["wer"].keys() == {"value", "low", "high", "n_words"}
    assert report["cer"].keys() == {"value", "low", "high", "n_characters"}
    assert report["verdict"]["decision"] in ("promote", "hold", "reject")
    assert report["against"]["model_sha256"] != report["model_sha256"]


def test_a_table_for_people_is_the_default(base: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--model", str(base), "--data", str(data / "manifest.jsonl"), "--split", "test"]) == 0
    said = capsys.readouterr().out
    for expected in ("WER ", "CER ", "accents:", "speakers:", "s2"):
        assert expected in said


def test_a_model_is_scored_in_eight_bits_when_asked(
    base: Path, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra int8")
    used = []
    windows = Int8Whisper.windows
    monkeypatch.setattr(Int8Whisper, "windows", lambda self, mels: used.append(len(mels)) or windows(self, mels))
    _, report, _ = run(
        capsys, "evaluate", "--model", base, "--data", data, "--split", "test", "--numerics", "int8", "--json"
    )
    assert (report["numerics"], report["n_clips"], sum(used)) == ("int8", 10, 10)


def test_the_same_command_goes_on_after_it_was_stopped(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from projectone.server.work import train

    command = [
        "train",
        "--base",
        base,
        "--data",
        data,
        "--max-steps",
        6,
        "--checkpoint-every-steps",
        2,
        "--json",
    ]
    whole = run(capsys, *command, "--out", tmp_path / "whole")[1]

    def stop(line: object, progress: Any) -> None:
        if progress.phase == "train" and progress.step == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train, "show_progress", stop)
        code, _, said = run(capsys, *command, "--out", tmp_path / "again")
    assert code == 130
    assert "the same command with --resume goes on" in said
    assert list((tmp_path / "again.training").glob("paused-r0-s000005"))
    code, _, said = run(capsys, *command, "--out", tmp_path / "again")
    assert code == 2
    assert "again.training holds a run that was begun; give --resume" in said
    resumed = run(capsys, *command, "--out", tmp_path / "again", "--resume")[1]
    assert resumed["weights_sha256"] == whole["weights_sha256"]
    # Both tell the same story: steps that were taken twice count once.
    curves = [json.loads(Path(result["run"]).read_text())["curves"] for result in (whole, resumed)]
    assert [row["step"] for row in curves[1]["loss"]] == [1, 2, 3, 4, 5, 6]
    assert [row["loss"] for row in curves[0]["loss"]] == [row["loss"] for row in curves[1]["loss"]]
    assert curves[0]["dev"] == curves[1]["dev"]
    assert curves[0]["alpha"] == curves[1]["alpha"]
    assert [row["alpha"] for row in curves[0]["alpha"]] == [1.0, 0.75, 0.5]


def test_a_finished_run_says_so_again_with_resume_and_is_not_overwritten_without(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--base", base, "--data", data, "--max-steps", 2, "--json", "--out", tmp_path / "o"]
    first = run(capsys, *command)[1]
    assert run(capsys, *command)[0] == 2
    assert run(capsys, *command, "--resume")[1] == first


def test_a_second_stage_stands_in_the_result_and_in_the_record(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["train", "--base", base, "--data", data, "--out", out, "--max-steps", 2]
    code, result, said = run(
        capsys, *command, "--json", "--sequence", "mwer", "--sequence-n-hypotheses", 2, "--sequence-max-steps", 3
    )
    assert code == 0
    assert "sequence    step 3/3" in said
    record = json.loads(Path(result["run"]).read_text())
    assert record["settings"]["sequence"] == "mwer"
    assert record["settings"]["rollouts"]["n_hypotheses"] == 2
    assert record["result"]["sequence"] == result["sequence"]
    assert isinstance(result["sequence"]["is_kept"], bool) and result["sequence"]["reason"]
    assert [row["step"] for row in record["curves"]["sequence"]] == [1, 2, 3]
    assert [row["step"] for row in record["curves"]["loss"]] == [1, 2]
    assert record["curves"]["sequence_dev"]
    assert main([str(word) for word in (*command, "--sequence", "mwer", "--sequence-n-hypotheses", 2)]) == 2
    assert "--resume" in capsys.readouterr().err
    code, _, said = run(capsys, *command[:-3], tmp_path / "other", "--sequence-kl", 0.1)
    assert code == 2
    assert "--sequence-kl: only with --sequence mwer or grpo" in said
    code, _, said = run(capsys, *command[:-3], tmp_path / "other", "--sequence", "grpo", "--sequence-n-hypotheses", 1)
    assert code == 2
    assert "--sequence-n-hypotheses: expected at least 2" in said


def test_adapters_are_trained_kept_and_fused_to_the_same_model(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code, result, _ = run(
        capsys,
        *("train", "--base", base, "--data", data, "--out", out, "--json", "--max-steps", 4),
        *("--method", "lora", "--lora-rank", 4, "--lora-targets", "attention", "--trainable", "decoder"),
    )
    assert (code, result["method"]) == (0, "lora")
    assert fuse_checkpoint(base, Path(result["adapter"]), tmp_path / "fused") == result["weights_sha256"]
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in base.iterdir())


def test_the_record_of_a_run_says_what_went_in_and_what_came_out(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "long.wav").write_bytes(encode_wav(say("red green blue black red green blue black red green")))
    (data / "wordy.wav").write_bytes(encode_wav(say("red")))
    with (data / "manifest.jsonl").open("a") as stream:
        stream.write("\n" + json.dumps({"audio": "long.wav", "text": "too long", "speaker": "s0"}))
        stream.write("\n" + json.dumps({"audio": "wordy.wav", "text": "red " * 40, "speaker": "s0"}))
    code, result, said = run(
        capsys, "train", "--base", base, "--data", data, "--out", tmp_path / "o", "--max-steps", 3, "--json"
    )
    assert code == 0
    assert "left out long.wav:" in said
    record = json.loads(Path(result["run"]).read_text())
    assert {entry["clip_id"] for entry in record["skipped"]} == {"long.wav", "wordy.wav"}
    assert any("tokens" in entry["reason"] for entry in record["skipped"])
    assert record["data"]["data"]["sha256"] == digest_of(data / "manifest.jsonl")
    assert record["base"]["weights_sha256"] == digest_of(base / "model.safetensors")
    assert record["result"]["weights_sha256"] == digest_of(tmp_path / "o" / "model.safetensors")
    assert record["settings"]["max_steps"] == 3
    assert {"python", "mlx", "projectone", "device", "blas"} <= record["environment"].keys()
    assert record["curves"]["dev"][0]["step"] == 0
    plot = ElementTree.fromstring(Path(result["plot"]).read_text())
    assert "Loss" in "".join(plot.itertext())
    # The model's own folder is published whole: nothing about people's clips lies in it.
    assert {path.name for path in (tmp_path / "o").iterdir()} == {path.name for path in base.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["evaluate", "--model", "nowhere/at-all/x", "--data", "DATA"], "there is no such folder"),
        (["evaluate", "--model", "BASE", "--data", "missing.jsonl"], "cannot be read"),
        (["evaluate", "--model", "BASE", "--data", "DATA", "--split", "none"], "no clip of split 'none'"),
        (["evaluate", "--model", "DATA", "--data", "DATA"], "no model.safetensors"),
        (["evaluate", "--model", "BASE", "--data", "DATA", "--batch-size", "0"], "--batch-size: expected 1 or more"),
        (["evaluate", "--model", "BASE", "--data", "DATA", "--language", "fr"], "expected one of en, got 'fr'"),
        (["train", "--base", "BASE", "--data", "DATA", "--out", "NEW", "--language", "fr"], "the base knows en"),
        (["train", "--base", "BASE", "--data", "DATA", "--out", "BASE"], "exists already"),
        (["train", "--base", "BASE", "--data", "DATA", "--out", "NEW", "--epochs", "0"], "--epochs: expected"),
        (["train", "--base", "BASE", "--data", "DATA", "--out", "NEW", "--lora-rank", "4"], "only with --method lora"),
        (
            [*("train", "--base", "BASE", "--data", "DATA", "--out", "NEW", "--method", "lora"), "--lora-alpha", "12"],
            "--lora-alpha: expected alpha / rank to be a power of two",
        ),
        (["train", "--from-production", "--data", "DATA", "--out", "NEW"], "no server at"),
        (["train", "--base", "BASE", "--data", "DATA", "--out", "/"], "--out /: expected the name of a folder"),
        (["train", "--base", "BASE", "--data", "DATA", "--out", "new/.."], "expected the name of a folder"),
        (["train", "--base", "BASE", "--data", "DATA", "--out", "DATA/manifest.jsonl/new"], "manifest.jsonl'; name"),
        (["train", "--base", "BASE", "--data", "DATA", "--out", "NEW", "--dev-split", "dev"], "only with --dev"),
        (
            ["train", "--base", "BASE", "--data", "DATA", "--out", "NEW", "--epochs", "1000000000"],
            "expected 1 to 10000",
        ),
        (
            ["train", "--base", "BASE", "--data", "DATA", "--out", "NEW", "--checkpoint-every-steps", "0"],
            "--checkpoint-every-steps: expected",
        ),
    ],
)
def test_a_mistake_is_one_clear_line(
    arguments: list[str],
    problem: str,
    base: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"BASE": str(base), "DATA/manifest.jsonl/new": str(data / "manifest.jsonl" / "new")}
    names |= {"DATA": str(data), "NEW": str(tmp_path / "new")}
    assert main([names.get(argument, argument) for argument in arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert problem in said.err.splitlines()[-1]


def test_a_file_where_the_run_would_be_kept_is_named(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "o.training").write_text("notes")
    code, _, said = run(capsys, "train", "--base", base, "--data", data, "--out", tmp_path / "o")
    assert code == 2
    assert "o.training'; name another one" in said
    assert "reading clips" not in said


def test_two_commands_do_not_train_in_one_folder_at_once(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--base", base, "--data", data, "--out", tmp_path / "o", "--max-steps", 1, "--json"]
    with exclusive_lock(tmp_path / "o.training" / "lock", what="another command"):
        code, error, _ = run(capsys, *command)
    assert code == 2
    assert "training into 'o': another process is doing this now" in error["error"]["message"]
    half = tmp_path / f".tmp-o-{'0' * 32}"  # of a command that was killed
    half.mkdir()
    assert run(capsys, *command)[0] == 0  # nothing was begun: no --resume is asked for
    assert not half.exists()


def test_clips_without_a_text_are_left_out_by_name(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = data / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    rows[3]["text"] = ""
    manifest.write_text("\n".join(json.dumps(row) for row in rows))
    command = ("train", "--base", base, "--data", data, "--out", tmp_path / "o", "--max-steps", 1, "--json")
    code, result, said = run(capsys, *command)
    assert code == 0
    assert "left out 3.wav: no text" in said
    assert result["skipped"] == [{"clip_id": "3.wav", "reason": "no text"}]
    assert json.loads(Path(result["run"]).read_text())["skipped"] == result["skipped"]
    manifest.write_text("\n".join(json.dumps({**row, "text": ""}) for row in rows))
    code, error, _ = run(capsys, *command[:6], tmp_path / "p", "--json")
    assert code == 2
    assert "expected clips with a text, got 70 without" in error["error"]["message"]


def test_a_file_that_is_no_sound_is_named(base: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "7.wav").write_bytes(b"not a sound")
    assert main(["evaluate", "--model", str(base), "--data", str(data), "--split", "test"]) == 2
    assert "'7.wav'" in capsys.readouterr().err


@pytest.mark.slow
def test_real_speech_in_flac_is_scored_as_jiwer_scores_it(
    base: Path, real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [json.loads(line) for line in (real_data / "fsdd" / "manifest.jsonl").read_text().splitlines()][::80]
    for row in rows:
        row["audio"] = str(real_data / "fsdd" / row["audio"])
    (tmp_path / "some.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    code, report, _ = run(capsys, "evaluate", "--model", base, "--data", tmp_path / "some.jsonl", "--json")
    assert code == 0
    from projectone.server.work.clips import open_decoder
    from projectone.speech.checkpoint import load_checkpoint
    from projectone.speech.transcribe import GREEDY, transcribe_many

    with open_decoder() as decode:
        heard = transcribe_many(load_checkpoint(base), [decode(Path(r["audio"])) for r in rows], options=GREEDY)
    truth, said = [normalize_text(r["text"]) for r in rows], [normalize_text(t.text) for t in heard]
    assert report["wer"]["value"] == pytest.approx(jiwer.wer(truth, said))
    assert report["cer"]["value"] == pytest.approx(jiwer.cer(truth, said))


def test_corrected_words_of_a_manifest_become_synthetic_sentences(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("espeakng_loader", reason="needs the extra 'voices'")
    manifest = data / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    heard = [{**row, "heard": row["text"].replace("green", "grin"), "previous_text": "red"} for row in rows]
    manifest.write_text("\n".join(json.dumps(row) for row in heard))
    code, result, _ = run(
        capsys,
        *("train", "--base", base, "--data", data, "--out", tmp_path / "out", "--json"),
        *("--max-steps", 2, "--carriers-per-term", 10, "--negatives-share", 0.2, "--packing", "on"),
        *("--prompt-share", 0.5),
    )
    assert code == 0
    # Ten sentences; those that do not fit the window of two seconds are named, the others are learned.
    left_out = [skipped["clip_id"] for skipped in result["skipped"]]
    assert 0 < len(left_out) < 10
    assert all(clip_id.startswith("carrier-") for clip_id in left_out)
    settings = json.loads(Path(result["run"]).read_text())["settings"]
    assert (settings["packing"], settings["negatives_share"], settings["prompt_share"]) == ("on", 0.2, 0.5)
