"""A clip that was looked at is not decoded again to find its copies."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime

from tests.fakes.caller import a_clip

from projectone.contracts.base import sha256_hex
from projectone.server.pipeline.ports import Look, PipelineSample
from projectone.server.work.copies import CopyFinder
from projectone.server.work.look import Page
from projectone.server.work.looking import Looker
from projectone.server.work.samples import RunSamples
from projectone.server.work.sealed_pool import SealedPool
from projectone.waveform.fingerprint import Fingerprint


def test_what_is_looked_at_is_known_by_its_sound_without_another_look() -> None:
    clips = {sha256_hex(clip): clip for clip in (a_clip(1), a_clip(2))}
    sha256s = [*clips, next(iter(clips))]
    samples = [
        PipelineSample(
            sample_id=f"s{number}",
            contributor_id=f"person{number}",
            clip_sha256=sha256,
            recording_sha256=f"recording{number}",
            text="seven",
            duration_s=1.0,
            recorded_at=datetime(2026, 11, 1, tzinfo=UTC),
            is_new=True,
        )
        for number, sha256 in enumerate(sha256s)
    ]
    asked: list[str] = []
    with Looker(clips.__getitem__, n_remembered=0) as looker:

        def hear(sha256s: Iterable[str]) -> Iterator[Fingerprint | None]:
            asked.extend(sha256s)
            return looker.hear(asked)

        finder = CopyFinder(hear, list)
        others = dict.fromkeys(inspect.signature(RunSamples).parameters)
        seen = RunSamples(**{**others, "copies": finder, "looker": looker, "holds_personal": True}).look(samples)
        assert [look.findings.discard for look in seen] == [None] * 3
        assert finder.copies(samples)["s2"].original == "s0"
        assert asked == []
        finder.forget_others([])
        assert finder.copies(samples)["s2"].original == "s0"
        assert asked == [*clips], "control: what nobody looked at is heard"


def test_what_is_heard_for_copies_is_decoded_in_a_sealed_process_and_a_clip_that_ends_it_is_no_copy() -> None:
    clips = {sha256_hex(clip): clip for clip in (a_clip(1), a_clip(2), b"RIFF, and no more")}
    first, second, broken = clips
    engine = Ending(1)
    engine.ends_at = second
    with Looker(clips.__getitem__, engine=engine) as looker:
        heard = list(looker.hear([first, second, broken, first]))
    assert heard[0] is not None and heard[3] is not None
    assert (heard[1], heard[2]) == (None, None)


class Ending(SealedPool):
    """Processes that end at one clip."""

    ends_at = ""

    def submit(self, page: Page) -> Future[list[Look]] | None:
        if any(question.clip_sha256 == self.ends_at for question, _ in page):
            return self.call(eval, "__import__('os')._exit(9)")
        return super().submit(page)
