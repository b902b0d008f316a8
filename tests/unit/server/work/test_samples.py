"""A clip that was looked at is not decoded again to find its copies."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime

import numpy as np
from tests.fakes.caller import a_clip

from projectone.contracts.base import sha256_hex
from projectone.server.pipeline.ports import PipelineSample
from projectone.server.work.copies import CopyFinder
from projectone.server.work.looking import Looker
from projectone.server.work.samples import RunSamples


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
    n_decoded = 0

    def decode(sha256: str) -> np.ndarray:
        nonlocal n_decoded
        n_decoded += 1
        return np.zeros(1600, np.float32)

    finder = CopyFinder(decode, list)
    with Looker(clips.__getitem__) as looker:
        others = dict.fromkeys(inspect.signature(RunSamples).parameters)
        seen = RunSamples(**{**others, "copies": finder, "looker": looker, "holds_personal": True}).look(samples)
        assert [look.findings.discard for look in seen] == [None] * 3
    assert finder.copies(samples)["s2"].original == "s0"
    assert n_decoded == 0
    finder.forget_others([])
    finder.copies(samples)
    assert n_decoded == 2, "control: what nobody looked at is decoded"
