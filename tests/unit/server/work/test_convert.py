import json
from pathlib import Path

import numpy as np
import pytest
from tests.fakes.tiny_whisper import save_tiny, say

from projectone.server.cli import main
from projectone.speech.checkpoint import load_checkpoint, model_tensors
from projectone.waveform.wav import encode_wav


def test_a_converted_model_is_the_same_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny(tmp_path / "model")
    out = tmp_path / "converted"
    arguments = ["convert", "--model", str(tmp_path / "model"), "--to", "transformers", "--out", str(out), "--json"]
    assert main(arguments) == 0
    assert "model.safetensors" in json.loads(capsys.readouterr().out.splitlines()[-1])["files"]
    before, after = (model_tensors(load_checkpoint(folder).model) for folder in (tmp_path / "model", out))
    assert all(np.array_equal(np.array(before[name]), np.array(after[name])) for name in before)


def test_a_vocabulary_that_mlx_whisper_cannot_read_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_tiny(tmp_path / "model")
    out = tmp_path / "converted"
    assert main(["convert", "--model", str(tmp_path / "model"), "--to", "mlx-whisper", "--out", str(out)]) == 2
    assert "vocabulary of its own" in capsys.readouterr().err
    assert not out.exists()


def test_an_existing_folder_is_never_written_into(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny(tmp_path / "model")
    assert main(["convert", "--model", str(tmp_path / "model"), "--to", "transformers", "--out", str(tmp_path)]) == 2
    assert "never rewritten" in capsys.readouterr().err


def test_a_command_nobody_knows_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    said = capsys.readouterr().err
    assert "no command 'trian'" in said
    assert "train" in said


@pytest.mark.parametrize(
    "name",
    ["init", "serve", "work", "run", "publish", "status", "train", "evaluate", "convert", "doctor", "quarantine"],
)
def test_every_command_explains_itself_with_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    assert "examples:\n  projectone-server" in capsys.readouterr().out


def test_a_model_goes_to_whisperkit_and_comes_back_as_what_a_phone_computes_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_tiny(tmp_path / "model")
    out, back = tmp_path / "whisperkit", tmp_path / "back"
    there = ["convert", "--model", str(tmp_path / "model"), "--to", "whisperkit", "--variant", "int8"]
    assert main([*there, "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "TextDecoder.mlpackage/Data/com.apple.CoreML/weights/weight.bin" in said["files"]
    assert said["coreml_executed"] is False
    assert len(said["limits"]) == 3  # a model of thirty thousand weights is no Whisper that anybody published
    assert main(["convert", "--model", str(out), "--to", "transformers", "--out", str(back)]) == 0
    before, after = (model_tensors(load_checkpoint(f).model) for f in (tmp_path / "model", back))
    name = "encoder.blocks.0.mlp1.weight"
    assert 0 < np.abs(np.array(before[name]) - np.array(after[name])).max() < 0.01


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--to", "whisperkit", "--dtype", "float32"], "choose a --variant instead"),
        (["--to", "transformers", "--variant", "int8"], "only --to whisperkit has variants"),
    ],
)
def test_flags_that_would_do_nothing_are_refused(
    flags: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", "--model", "starter", *flags, "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err


def test_a_packed_model_is_opened_like_any_other_and_is_smaller(tmp_path: Path) -> None:
    save_tiny(tmp_path / "model")
    sizes = []
    for bits in ("8", "4"):
        out = tmp_path / bits
        assert (
            main(["convert", "--model", str(tmp_path / "model"), "--to", "packed", "--bits", bits, "--out", str(out)])
            == 0
        )
        assert load_checkpoint(out).dims == load_checkpoint(tmp_path / "model").dims
        sizes.append((out / "model.safetensors").stat().st_size)
    assert sizes[1] < sizes[0] < (tmp_path / "model" / "model.safetensors").stat().st_size


def test_bits_without_a_layout_that_packs_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny(tmp_path / "model")
    arguments = ["convert", "--model", str(tmp_path / "model"), "--to", "transformers", "--bits", "4"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert "only --to packed, mlx-whisper and ctranslate2 pack" in capsys.readouterr().err


def test_recordings_say_which_heads_follow_the_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, out = save_tiny(tmp_path / "model"), tmp_path / "out"
    rows = []
    for seed in range(3):
        (tmp_path / f"{seed}.wav").write_bytes(encode_wav(say("red green blue", seed=seed)))
        rows.append(json.dumps({"audio": f"{seed}.wav", "text": "red green blue"}))
    (tmp_path / "manifest.jsonl").write_text("\n".join(rows))
    command = ["convert", "--model", str(model), "--to", "transformers", "--align", str(tmp_path), "--out", str(out)]
    assert main(command) == 0
    assert set(load_checkpoint(out).generation.alignment_heads) <= {(0, 0), (0, 1)}
    assert load_checkpoint(out).generation.alignment_heads
    (tmp_path / "0.wav").write_bytes(b"not a sound")
    assert main([*command[:-1], str(tmp_path / "other")]) == 2
    assert "0.wav" in capsys.readouterr().err
