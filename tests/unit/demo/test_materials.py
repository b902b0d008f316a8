import json
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from tests.fakes.tiny_whisper import Samples, say

from projectone.demo.materials import Decode, Materials, load_materials, write_golden
from projectone.demo.plan import Size, plan_demo
from projectone.errors import DataError
from projectone.server.corpus.manifests import ManifestRow, read_manifest
from projectone.waveform.wav import parse_wav

SIZE = Size(users=3, to_correct=4, kept_back=3, golden=6)


def rows(n_clips: int = 12) -> list[ManifestRow]:
    return [
        ManifestRow(clip_id=f"{who}/{n}", audio=Path(f"{who}-{n}.wav"), text="red", speaker=who, duration_s=0.3)
        for who in ("ann", "ben", "cleo")
        for n in range(n_clips)
    ]


def decode(path: Path) -> Samples:
    """Every file sounds different."""
    return say("red", seed=crc32(path.stem.encode()))


def load(decode_: Decode = decode) -> Materials:
    plan = plan_demo(rows(), size=SIZE, seed=1)
    return load_materials(plan, decode_, n_spare=5)


def test_people_get_what_the_plan_chose_as_16_khz_wav() -> None:
    materials = load()
    assert [len(person.to_correct) for person in materials.people] == [4, 4, 4]
    spoken = materials.people[0].to_correct[0]
    assert parse_wav(spoken.wav).sample_rate_hz == 16_000
    assert spoken.duration_s == pytest.approx(parse_wav(spoken.wav).duration_s)
    assert materials.n_unreadable == 0


def test_a_file_that_cannot_be_read_is_left_out_and_counted() -> None:
    def fragile(path: Path) -> Samples:
        if path.stem == "ann-1" or path.stem == "ben-2":
            raise DataError("audio-broken", "no sound")
        return decode(path)

    materials = load(fragile)
    everything = [spoken for person in materials.people for spoken in (*person.to_correct, *person.kept_back)]
    assert not {"ann/1", "ben/2"} & {spoken.clip_id for spoken in (*everything, *materials.golden, *materials.spare)}
    assert materials.n_unreadable <= 2


def test_the_same_sound_twice_ends_on_one_side_only() -> None:
    def with_twins(path: Path) -> Samples:
        number = int(path.stem.rpartition("-")[2])
        return decode(Path(f"{path.stem.rpartition('-')[0]}-{number // 2}"))

    materials = load(with_twins)
    everything = [spoken for person in materials.people for spoken in (*person.to_correct, *person.kept_back)]
    wavs = [spoken.wav for spoken in (*everything, *materials.golden, *materials.spare)]
    assert len(wavs) == len(set(wavs))


def test_a_corpus_of_broken_files_says_so() -> None:
    def broken(path: Path) -> Samples:
        raise DataError("audio-broken", "no sound")

    with pytest.raises(DataError, match="cannot be decoded") as caught:
        load(broken)
    assert caught.value.reason == "corpus-unreadable"


def test_the_golden_set_is_a_manifest_that_the_server_reads(tmp_path: Path) -> None:
    golden = load().golden
    manifest = write_golden(golden, tmp_path / "golden")
    read = read_manifest(manifest)
    assert [(row.clip_id, row.text, row.speaker) for row in read] == [(c.clip_id, c.text, c.speaker) for c in golden]
    assert [row.audio.read_bytes() for row in read] == [clip.wav for clip in golden]
    assert all(json.loads(line)["audio"].endswith(".wav") for line in manifest.read_text().splitlines())


def test_sounds_are_told_apart_at_all() -> None:
    assert not np.array_equal(decode(Path("ann-1.wav")), decode(Path("ann-2.wav")))


def test_recordings_whose_length_nobody_noted_are_not_taken_without_end() -> None:
    chosen = [replace(row, duration_s=None) for row in rows()]
    plan = plan_demo(chosen, size=SIZE, seed=1)
    all_of_it = load_materials(plan, decode, n_spare=5)
    clip_s = all_of_it.golden[0].duration_s
    short = load_materials(plan, decode, n_spare=5, most_s=4.5 * clip_s)
    assert (len(all_of_it.golden), len(short.golden)) == (6, 4)
    assert [len(person.to_correct) for person in all_of_it.people] == [4, 4, 4]
    assert [len(person.to_correct) for person in short.people] == [1, 1, 1]
