from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from projectone.contracts.base import canonical_json, sha256_hex
from projectone.contracts.scores import Domain
from projectone.errors import EvaluationError
from projectone.server.evaluation.golden import (
    GoldenClip,
    golden_set,
    load_golden,
    pcm_digest,
    refuse_overlap,
    sound_key,
    to_pcm16,
)


@dataclass(frozen=True)
class Row:
    clip_id: str
    audio: Path
    text: str
    speaker: str
    accent: str | None = None
    domain: Domain = "target"


def clip(clip_id: str, *, text: str = "red", seed: int = 0) -> GoldenClip:
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, 1600).astype(np.float32)
    return GoldenClip(clip_id, "s", "x", samples, text)


def test_rows_become_clips_with_their_slice() -> None:
    rows = [Row("a", Path("a.wav"), "red", "s1", "Scottish"), Row("b", Path("b.wav"), "blue", "s2")]
    golden = load_golden(rows, lambda path: np.zeros(1600, np.float32))
    assert [(c.clip_id, c.slice) for c in golden.clips] == [("a", "Scottish"), ("b", "unknown")]
    assert golden.audio_s == pytest.approx(0.2)


def test_the_digest_pins_sound_and_text() -> None:
    first = golden_set([clip("a"), clip("b", seed=1)])
    assert golden_set([clip("a"), clip("b", seed=1)]).sha256 == first.sha256
    assert golden_set([clip("a"), clip("b", seed=2)]).sha256 != first.sha256
    assert golden_set([clip("a"), clip("b", seed=1, text="blue")]).sha256 != first.sha256


def test_general_clips_change_the_digest_and_others_keep_the_one_they_had() -> None:
    target = clip("a")
    facts = [[target.clip_id, target.speaker, target.slice, target.sha256, target.text]]
    assert golden_set([target]).sha256 == sha256_hex(canonical_json(facts))
    assert golden_set([replace(target, domain="general")]).sha256 != golden_set([target]).sha256


def test_a_set_without_words_is_refused() -> None:
    for clips in ([], [clip("a", text="  ")]):
        with pytest.raises(EvaluationError, match="at least one clip with words"):
            golden_set(clips)


def test_a_clip_that_was_trained_on_is_refused_whatever_its_rounding() -> None:
    golden = golden_set([clip("a"), clip("b", seed=1)])
    stored = np.rint(golden.clips[1].samples * 32768) / 32768  # as it comes back from 16-bit PCM
    with pytest.raises(EvaluationError, match=r"1 of 2 clips .* \['b'\]"):
        refuse_overlap(golden, {pcm_digest(stored.astype(np.float32))})
    refuse_overlap(golden, {pcm_digest(clip("c", seed=3).samples)})


def test_the_same_sound_has_the_same_key_and_another_sound_or_length_has_another() -> None:
    one = clip("a")
    rounded = (to_pcm16(one.samples) / 32768.0).astype(np.float32)
    assert sound_key(to_pcm16(rounded)) == one.key == replace(one, text="blue").key
    assert one.key not in {clip("a", seed=1).key, sound_key(to_pcm16(one.samples)[:-1]), one.sha256}
