import json
from pathlib import Path
from typing import Any

import pytest

from projectone.errors import DataError
from projectone.server.corpus.manifests import read_manifest


def write(folder: Path, *lines: Any) -> Path:
    (folder / "a.wav").write_bytes(b"x")
    (folder / "b.wav").write_bytes(b"x")
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    return path


def test_a_row_needs_a_file_and_a_text_and_may_say_more(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {"audio": "a.wav", "text": " red "},
        "",
        {"audio": "b.wav", "text": "", "speaker": "s1", "accent": "x", "split": "test", "duration_s": 1, "more": []},
    )
    first, second = read_manifest(path)
    assert (first.clip_id, first.audio, first.text, first.speaker) == ("a.wav", tmp_path / "a.wav", "red", "unknown")
    assert (second.text, second.speaker, second.accent, second.split, second.duration_s) == ("", "s1", "x", "test", 1)
    assert read_manifest(tmp_path) == [first, second]


def test_a_row_says_whether_its_speech_is_general(tmp_path: Path) -> None:
    rows = read_manifest(
        write(tmp_path, {"audio": "a.wav", "text": "x", "domain": "general"}, {"audio": "b.wav", "text": "y"})
    )
    assert [row.domain for row in rows] == ["general", "target"]
    with pytest.raises(DataError, match="domain: expected one of target, general, got 'genral'"):
        read_manifest(write(tmp_path, {"audio": "a.wav", "text": "x", "domain": "genral"}))


def test_one_split_can_be_asked_for(tmp_path: Path) -> None:
    path = write(
        tmp_path, {"audio": "a.wav", "text": "x", "split": "dev"}, {"audio": "b.wav", "text": "y", "split": "test"}
    )
    assert [row.text for row in read_manifest(path, split="test")] == ["y"]
    with pytest.raises(DataError, match=r"no clip of split 'train'; it has \['dev', 'test'\]"):
        read_manifest(path, split="train")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not JSON"),
        ("[" * 5000, "not JSON"),
        ("[1]", "expected a JSON object, got list"),
        ({"text": "x"}, "audio: missing"),
        ({"audio": "a.wav"}, "text: missing"),
        ({"audio": "a.wav", "text": 3}, "text: expected a text"),
        ({"audio": "", "text": "x"}, "audio: expected a file name"),
        ({"audio": "none.wav", "text": "x"}, "there is no file 'none.wav'"),
        ({"audio": "a.wav", "text": "x", "duration_s": "long"}, "duration_s: expected seconds"),
        ({"audio": "a.wav", "text": "x", "speaker": ["s"]}, "speaker: expected a text"),
        ({"audio": "b.wav", "text": "again"}, "clip 'b.wav' is on line 1 already"),
        ({"audio": "a.wav", "text": "x" * 100_000}, "at most 65536 bytes"),
        ({"audio": "a.wav", "text": "x\ud800"}, "text: expected Unicode, got a lone surrogate at character 2"),
        ({"audio": "a.wav", "text": "x", "speaker": "\udfff"}, "speaker: expected Unicode"),
        ({"audio": "a.wav", "text": "x", "clip_id": "\udfff"}, "clip_id: expected Unicode"),
        ({"audio": "a" * 5000, "text": "x"}, "audio: File name too long"),
    ],
)
def test_a_bad_line_is_named(line: Any, problem: str, tmp_path: Path) -> None:
    path = write(tmp_path, {"audio": "b.wav", "text": "fine"}, line)
    with pytest.raises(DataError, match=r"manifest\.jsonl, line 2: ") as caught:
        read_manifest(path)
    assert problem in str(caught.value)
    assert caught.value.reason == "manifest-line"


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    # A device such as /dev/zero never ends, and a pipe may never begin.
    with pytest.raises(DataError, match="'/dev/zero' cannot be read: expected a file") as caught:
        read_manifest(Path("/dev/zero"))
    assert caught.value.reason == "manifest-missing"


def test_nothing_to_read_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lists no clip"):
        read_manifest(write(tmp_path, ""))
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_manifest(tmp_path / "other.jsonl")
