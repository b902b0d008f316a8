"""Fifty accounts with one voice weigh in a run what two people may; what knows a voice again is not kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from projectone.contracts.base import sha256_hex
from projectone.errors import DataError
from projectone.server.corpus.caps import CapLimits, cap_release
from projectone.server.corpus.manifests import ManifestRow, read_manifest
from projectone.server.voices.installed import HOW_TO_INSTALL, are_installed
from projectone.server.voices.same_voice import CLIPS
from projectone.server.work.clips import open_decoder
from projectone.server.work.voice_groups import VoiceGroups
from projectone.waveform.wav import encode_wav, parse_wav

needs_weights = pytest.mark.skipif(
    not are_installed(), reason=f"the networks of voices are not installed: {HOW_TO_INSTALL}"
)


@dataclass(frozen=True)
class Sample:
    contributor_id: str
    clip_sha256: str
    duration_s: float
    text: str
    cluster: str | None = None


def store(rows: Iterable[ManifestRow], clips: dict[str, bytes]) -> list[str]:
    """Decode clips into a store; gives their digests."""
    digests = []
    with open_decoder() as decode:
        for row in rows:
            content = encode_wav(decode(row.audio))
            clips[sha256_hex(content)] = content
            digests.append(sha256_hex(content))
    return digests


def given(person: str, digests: list[str], clips: dict[str, bytes], *, n: int, network: str) -> list[Sample]:
    """So many samples of a person; those of the first clips are the longest."""
    return [
        Sample(
            person,
            digests[number % len(digests)],
            parse_wav(clips[digests[number % len(digests)]]).duration_s if number < len(digests) else 0.5,
            sha256_hex(f"{person} {number}".encode())[:8],  # words that nobody else says, and nobody says twice
            network,
        )
        for number in range(n)
    ]


@pytest.mark.slow
@needs_weights
def test_fifty_accounts_of_one_voice_from_fifty_networks_give_forty_clips(real_data: Path) -> None:
    """T24: 50 accounts x 20 clips of one real person, beside 25 real people."""
    clips: dict[str, bytes] = {}
    one = store(read_manifest(real_data / "kathleen_arctic")[: 50 * CLIPS], clips)
    sybils = [
        sample
        for account in range(50)
        for sample in given(
            f"sybil{account:02}", one[account * CLIPS : (account + 1) * CLIPS], clips, n=20, network=f"net{account}"
        )
    ]
    people: dict[str, list[ManifestRow]] = {}
    for row in read_manifest(real_data / "an4"):
        people.setdefault(row.speaker, []).append(row)
    honest = [
        sample
        for number, rows in enumerate(list(people.values())[:25])
        for sample in given(f"person{number:02}", store(rows[:4], clips), clips, n=4, network=f"home{number}")
    ]
    new = [*sybils, *honest]
    limits = CapLimits()
    kept = cap_release(new, [], limits)
    assert sum(sample in kept for sample in sybils) > 900, "control: nobody compares voices"
    groups = VoiceGroups(clips.__getitem__).among(kept, [], limits)
    capped = cap_release(new, [], limits, groups)
    assert sum(sample in capped for sample in sybils) <= limits.max_new_per_cluster
    assert [sample for sample in capped if sample.contributor_id.startswith("person")] == honest
    names = {person: group for person, group in groups.items() if person.startswith("sybil")}
    assert len(names) == 50
    assert set(names.values()) == {"sybil00"}, "a name of an account, and nothing of a voice"


@needs_weights
def test_a_clip_that_the_disk_does_not_give_says_nothing() -> None:
    def missing(sha256: str) -> bytes:
        raise DataError("clip-missing", sha256)

    new = [Sample(f"person{number}", f"{number:064}", 2.0, "yes") for number in range(25)]
    assert VoiceGroups(missing).among(new, [], CapLimits()) == {}


def test_while_few_people_contribute_nobody_is_compared() -> None:
    def never(sha256: str) -> bytes:
        raise AssertionError("it was read")

    new = [Sample(f"person{number}", f"{number:064}", 2.0, "yes") for number in range(5)]
    assert VoiceGroups(never).among(new, [], CapLimits()) == {}
