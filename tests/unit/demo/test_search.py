"""A search that finds nothing proves something only if it would have found what was there."""

import uuid
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tests.fakes.tiny_whisper import say
from tests.fakes.trainer_home import TrainerHome

from projectone.contracts.base import sha256_hex
from projectone.demo import search
from projectone.demo.search import Traces, distinctive_slice, opened_samples, search_backend
from projectone.device.clips import read_clip
from projectone.server.database import open_engine, writing
from projectone.server.evaluation.golden import pcm_digest
from projectone.storage.files import write_atomically
from projectone.waveform.wav import encode_wav, parse_wav

CONTRIBUTOR = "c-" + "1f" * 16
SAMPLE = "0b8e4a52-6c1f-4b7e-9d3a-8f1c2e5d7a90"
WAVS = [encode_wav(say(text, seed=seed)) for seed, text in enumerate(("red green", "blue", "black red"))]
TRACES = Traces.of([CONTRIBUTOR, SAMPLE], WAVS, [sha256_hex(wav) for wav in WAVS])


@pytest.fixture
def backend(tmp_path: Path) -> Path:
    """A server's home with rows and files of somebody else."""
    home = tmp_path / "server"
    (home / "blobs").mkdir(parents=True)
    (home / "blobs" / "other").write_bytes(encode_wav(say("green blue", seed=99)))
    (home / "model.safetensors").write_bytes(np.random.default_rng(0).bytes(3_000_000))
    (home / "logs").mkdir()
    (home / "logs" / "api.log").write_text("ready\n" * 100)
    engine = open_engine(url(home))
    with writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE samples (id BLOB, contributor TEXT, n INTEGER)")
        connection.exec_driver_sql("INSERT INTO samples VALUES (?, ?, ?)", (uuid.uuid4().bytes, "c-other", 7))
    engine.dispose()
    return home


def url(home: Path) -> str:
    return f"sqlite:///{home}/projectone.sqlite"


def look(home: Path) -> search.Found:
    return search_backend([home], url(home), TRACES)


def test_a_backend_that_knows_nothing_is_clean(backend: Path) -> None:
    found = look(backend)
    assert (found.rows, found.files) == ((), ())
    assert found.n_files == sum(path.is_file() for path in backend.rglob("*"))
    assert found.n_bytes > 3_000_000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("blobs/leak", WAVS[1]),
        ("blobs/part", b"\x00" * 1001 + WAVS[2][len(WAVS[2]) // 8 :]),
        ("logs/api.log", f"PUT /v1/samples/{SAMPLE} 201\n".encode()),
        ("logs/hex.log", uuid.UUID(SAMPLE).hex.encode()),
        ("checkpoint", b"\x93\x01" + uuid.UUID(SAMPLE).bytes + b"\xc0"),
        ("dataset.json", b'{"speaker":"' + CONTRIBUTOR.encode() + b'"}'),
        ("names", bytes.fromhex(sha256_hex(WAVS[0]))),
        ("list.txt", sha256_hex(WAVS[2]).encode()),
    ],
)
def test_what_was_planted_in_a_file_is_found(backend: Path, name: str, content: bytes) -> None:
    (backend / name).write_bytes(content)
    found = look(backend)
    assert [file for file, _ in found.files] == [f"server/{name}"]
    assert found.rows == ()


def test_a_file_that_is_only_named_after_a_clip_is_found(backend: Path) -> None:
    (backend / "blobs" / sha256_hex(WAVS[1])).touch()
    assert [traces for _, traces in look(backend).files] == ["digest of clip 1"]


def test_a_clip_inside_a_package_is_found(backend: Path) -> None:
    with zipfile.ZipFile(backend / "package.zip", "w", zipfile.ZIP_STORED) as package:
        package.writestr("a.wav", WAVS[0])
    assert [traces for _, traces in look(backend).files] == ["sound of clip 0"]


@pytest.mark.parametrize("value", [CONTRIBUTOR, SAMPLE, uuid.UUID(SAMPLE).bytes, uuid.UUID(SAMPLE).hex])
def test_what_was_planted_in_a_row_is_found(backend: Path, value: str | bytes) -> None:
    engine = open_engine(url(backend))
    with writing(engine) as connection:
        connection.exec_driver_sql("INSERT INTO samples VALUES (?, ?, ?)", (value, value, 1))
    engine.dispose()
    found = look(backend)
    assert [table for table, _ in found.rows] == ["samples"]
    assert found.n_hits >= 1  # the database and its log are files, too


def test_what_lies_sealed_is_found_once_it_is_opened_and_in_no_file(tmp_path: Path) -> None:
    """The control of the demo's own search: a person who consented is found inside the seals, and only there."""
    home = TrainerHome(tmp_path / "server", hub_url="http://127.0.0.1:9", hub_token="none")
    try:
        sample_id = home.send(CONTRIBUTOR, "one", "red green", say("red green", seed=0))
        home.send("c-other", "two", "green blue", say("green blue", seed=99))
        traces = Traces.of([], WAVS, [sha256_hex(wav) for wav in WAVS])
        found = search_backend([home.folder], home.settings.database_url, traces, opened_samples(home.settings))
    finally:
        home.close()
    assert found.opened == ((sample_id, "sound of clip 0"),)
    assert (found.files, found.rows, found.sounding, found.n_opened) == ((), (), (), 2)


def test_what_lies_across_two_readings_is_found(backend: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_WINDOW_BYTES", 4096)
    needle = distinctive_slice(WAVS[0])
    for shift in (0, 1, len(needle) // 2, len(needle) - 1):
        (backend / "blobs" / "across").write_bytes(b"\x7f" * (4096 - shift) + needle + b"\x7f" * 50)
        assert [name for name, _ in look(backend).files] == ["server/blobs/across"]


def test_the_sound_is_found_as_the_device_would_have_sent_it(tmp_path: Path) -> None:
    """The device writes a WAV of its own; were its bytes others, the search would look for what nobody has."""
    for wav in WAVS:
        sent = read_clip(wav).wav
        assert distinctive_slice(wav) in sent
    assert pcm_digest(parse_wav(WAVS[0]).samples[:, 0]) == pcm_digest(read_clip(WAVS[0]).samples)


def test_the_stretch_of_sound_is_loud_and_no_other_recording_has_it() -> None:
    silence = np.zeros(8_000, np.float32)
    loud = say("red", seed=5)
    wav = encode_wav(np.concatenate([silence, loud, silence]))
    stretch = distinctive_slice(wav)
    assert np.abs(np.frombuffer(stretch, "<i2")).max() > 1000
    assert not any(stretch in other for other in WAVS)


def test_a_trace_too_short_to_prove_anything_is_refused(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", b"x")
    with pytest.raises(ValueError, match="at least 8 bytes"):
        search_backend([tmp_path], url(tmp_path), Traces.of(["yes"], [], []))
