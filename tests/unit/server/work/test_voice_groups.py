"""Fifty accounts with one voice weigh in a run what two people may; what knows a voice again is not kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from projectone.contracts.base import sha256_hex
from projectone.errors import DataError
from projectone.server.corpus.caps import CapLimits, cap_release
from projectone.server.corpus.manifests import ManifestRow, read_manifest
from projectone.server.voices.installed import HOW_TO_INSTALL, are_installed
from projectone.server.voices.same_voice import CLIPS
from projectone.server.work import voice_groups
from projectone.server.work.clips import open_decoder
from projectone.server.work.sealed_pool import SealedPool
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


class Mortal(SealedPool):
    """Hears in this process, and ends or fails where a poisoned clip is among those it is asked about."""

    def __init__(self, *poison: bytes, error: type[Exception] = BrokenProcessPool) -> None:
        super().__init__(1)
        self.poison = set(poison)
        self.error = error
        self.n_most = self.n_ended = 0
        self._n_under_way = 0
        self._has_ended = False

    def hear_voices(self) -> None:
        pass

    def call(self, function: Callable[[Any], Any], argument: Any) -> Future[Any] | None:
        if self._has_ended:
            self._has_ended = False
            return None
        future: Future[Any] = Future()
        self._n_under_way += 1
        self.n_most = max(self.n_most, self._n_under_way)
        if self.poison & set(argument):
            self._has_ended = self.error is BrokenProcessPool
            self.n_ended += 1
            future.set_exception(self.error("it ended"))
        else:
            future.set_result(function(argument))
        take = future.result

        def result(timeout: float | None = None) -> Any:
            self._n_under_way -= 1
            return take(timeout)

        future.result = result  # type: ignore[method-assign]
        return future


def strangers(n: int) -> tuple[list[Sample], dict[str, bytes]]:
    """So many accounts with three clips each; all are one voice."""
    clips = {f"{number:064}": f"clip {number}".encode() for number in range(3 * n)}
    new = [
        Sample(f"person{number // 3:02}", sha256, 2.0 + number % 3, f"text {number}")
        for number, sha256 in enumerate(clips)
    ]
    return new, clips


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The clips that were heard in this process."""
    seen: list[bytes] = []

    def one_voice_of_all(contents: Sequence[bytes]) -> Any:
        seen.extend(contents)
        return np.ones(256, np.float32) / 16 if contents else None

    monkeypatch.setattr(voice_groups, "voice_of_clips", one_voice_of_all)
    return seen


@pytest.mark.parametrize("error", [BrokenProcessPool, MemoryError, DataError])
def test_a_clip_that_kills_whoever_hears_it_hides_no_account_and_is_not_heard_by_who_asks(
    heard: list[bytes], error: type[Exception]
) -> None:
    new, clips = strangers(25)
    killers = [clips[new[3 * account].clip_sha256] for account in (4, 11)]
    pool = Mortal(*killers, error=error)
    if error is DataError:
        pool.error = lambda reason: DataError("wav-not-riff", reason)  # type: ignore[assignment]
    groups = VoiceGroups(clips.__getitem__, open_pool=lambda: pool).among(new, [], CapLimits())
    assert len(groups) == 25, "the other two clips of each say enough"
    assert set(heard) == set(clips.values()) - set(killers)


def test_an_account_whose_clips_all_kill_has_no_voice(heard: list[bytes]) -> None:
    new, clips = strangers(25)
    killers = [clips[sample.clip_sha256] for sample in new[:3]]
    pool = Mortal(*killers)
    groups = VoiceGroups(clips.__getitem__, open_pool=lambda: pool).among(new, [], CapLimits())
    assert set(groups) == {f"person{number:02}" for number in range(1, 25)}


@pytest.mark.parametrize(("max_failed", "n_ended"), [(1, 4), (2, 6), (9, 8)])
def test_an_account_costs_so_many_processes_and_no_more(heard: list[bytes], max_failed: int, n_ended: int) -> None:
    new, clips = strangers(25)
    pool = Mortal(*[clips[sample.clip_sha256] for sample in new[:3]])
    VoiceGroups(clips.__getitem__, open_pool=lambda: pool, max_failed=max_failed).among(new, [], CapLimits())
    assert pool.n_ended == 1 + n_ended, "once and again all together, then each alone, twice"


def test_so_many_accounts_are_under_way_and_no_more(heard: list[bytes]) -> None:
    new, clips = strangers(40)
    pool = Mortal()
    assert len(VoiceGroups(clips.__getitem__, open_pool=lambda: pool).among(new, [], CapLimits())) == 40
    assert pool.n_most == pool.n_pages + 1


@pytest.mark.slow
def test_a_dead_child_is_not_the_end_of_a_run() -> None:
    class Killed(SealedPool):
        """Its processes are killed as the fifth account is asked about."""

        n_calls = 0

        def call(self, function: Callable[[Any], Any], argument: Any) -> Future[Any] | None:
            self.n_calls += 1
            if self.n_calls == 5:
                pool = self.processes()
                pool.submit(int).result(300)
                for child in pool._processes.values():
                    child.kill()
                    child.join()
            return super().call(function, argument)

    new, clips = strangers(25)
    pool = Killed(1)
    assert VoiceGroups(clips.__getitem__, open_pool=lambda: pool).among(new, [], CapLimits()) == {}
    assert pool.n_calls > 25
