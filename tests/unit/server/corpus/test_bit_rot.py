"""A flipped bit on the disk is found by the scrub and by every read; nothing is trained on it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.fakes.tiny_whisper import say

from projectone.server.work.looking import Looker, Question
from projectone.storage.blobs import FileBlobs
from projectone.waveform.wav import encode_wav

PAGE = 20  # so few clips are looked at in this process


class BlindBlobs(FileBlobs):
    """The control: a store that gives whatever the disk gives."""

    def get(self, sha256: str) -> bytes:
        return self.path_of(sha256).read_bytes()


def flip_a_byte_of_every_tenth(blobs: FileBlobs, digests: list[str], seed: int) -> set[str]:
    rng = random.Random(seed)
    rotten = set(rng.sample(digests, len(digests) // 10))
    for sha256 in rotten:
        content = bytearray(blobs.path_of(sha256).read_bytes())
        content[rng.randrange(len(content))] ^= rng.randrange(1, 256)
        blobs.path_of(sha256).write_bytes(content)
    return rotten


def trained_on(blobs: FileBlobs, digests: list[str]) -> set[str]:
    """Clips that ingestion finds nothing against."""
    with Looker(blobs.get) as looker:
        pages = [digests[at : at + PAGE] for at in range(0, len(digests), PAGE)]
        looks = [look for page in pages for look in looker.look_at(Question(sha256, "red") for sha256 in page)]
        return {sha256 for sha256, look in zip(digests, looks, strict=True) if look.findings.discard is None}


@pytest.mark.parametrize("n_blobs", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_every_flipped_byte_is_found_and_none_is_trained_on(tmp_path: Path, n_blobs: int) -> None:
    """T8: of 1,000 clips 100 have rotted; the control reads without looking at digests."""
    blobs = FileBlobs(tmp_path)
    clip = say("red green", seed=1, is_lively=True)
    digests = [blobs.put([encode_wav(clip * (1 - number / 2000))]) for number in range(n_blobs)]
    rotten = flip_a_byte_of_every_tenth(blobs, digests, seed=n_blobs)
    assert set(blobs.scrub()) == rotten
    assert len(rotten) == n_blobs // 10
    asked = [*rotten, *digests[:PAGE]]
    assert trained_on(blobs, asked) == set(digests[:PAGE]) - rotten
    assert len(trained_on(BlindBlobs(tmp_path), [*rotten])) > 0.5 * len(rotten), "control"
