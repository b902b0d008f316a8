"""A base as teams use it: a Whisper checkpoint of the published size, fetched from a Hub by name."""

import json
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants
from tests.conformance.hub.running import running_hub
from tests.fakes.tiny_whisper import say
from tests.parity.materials import TINY, random_checkpoint, tokenizer_of_size

from projectone.server.cli import main
from projectone.server.hubd import issue_token
from projectone.speech.checkpoint import CHECKPOINT_FILES, load_checkpoint, save_checkpoint
from projectone.waveform.wav import encode_wav

SPOKEN = [("red green", "ann"), ("blue", "ann"), ("black red", "ben"), ("green", "ben")]


def write_speech(folder: Path) -> Path:
    folder.mkdir()
    lines = []
    for number, (text, speaker) in enumerate(SPOKEN):
        (folder / f"{number}.wav").write_bytes(encode_wav(say(text, seed=number)))
        lines.append(json.dumps({"audio": f"{number}.wav", "text": text, "speaker": speaker}))
    (folder / "manifest.jsonl").write_text("\n".join(lines))
    return folder / "manifest.jsonl"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_whisper_tiny_at_its_real_size_is_fetched_by_name_and_fine_tuned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    base = tmp_path / "base"
    save_checkpoint(random_checkpoint(TINY, tokenizer_of_size(TINY.n_vocab)), base)
    data = write_speech(tmp_path / "speech")
    out = tmp_path / "tuned"
    with running_hub(tmp_path) as hub:
        writer = HfApi(endpoint=hub.url, token=issue_token(hub.store, "openai", "write", ["openai"]))
        writer.create_repo("openai/whisper-tiny", private=False)
        writer.upload_folder(repo_id="openai/whisper-tiny", folder_path=base)
        monkeypatch.setenv("PROJECTONE_SERVER_HUB_ENDPOINT", hub.url)
        monkeypatch.setenv("PROJECTONE_SERVER_HUB_TOKEN", hub.reader)
        monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(tmp_path / "home"))
        options = ["--max-steps", "2", "--batch-size", "1", "--language", "en", "--json"]
        command = ["train", "--base", "openai/whisper-tiny", "--data", str(data), "--out", str(out), *options]
        assert main(command) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["n_steps"] == 2
    assert sorted(path.name for path in out.iterdir()) == sorted(CHECKPOINT_FILES)
    tuned = load_checkpoint(out)
    assert tuned.dims == TINY
    assert tuned.folder_digest != load_checkpoint(base).folder_digest
