"""A local Ray gives the same answers as the processes of this machine; `make ray` installs what it needs."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import numpy as np
import pytest
from tests.fakes.caller import a_clip

from projectone.contracts.base import sha256_hex
from projectone.errors import SettingsError
from projectone.server.work.look import Question, look
from projectone.server.work.looking import Looker
from projectone.server.work.ray_engine import RayEngine, SealedLooks, look_from_json, look_to_json, question_to_json
from projectone.waveform.wav import encode_wav

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own
HAS_RAY = importlib.util.find_spec("ray") is not None


def page(n: int) -> list[tuple[Question, bytes]]:
    clips = [a_clip(seed, duration_s=0.15 if seed else 2.0) for seed in range(n)]
    clips[1], clips[2] = encode_wav(np.zeros(8_000, np.float32)), b"no sound at all"
    texts = ["my card is 4111 1111 1111 1111" if place == 0 else "seven" for place in range(n)]
    asked = (Question(sha256_hex(clip), text, wants_fingerprint=True) for clip, text in zip(clips, texts, strict=True))
    return list(zip(asked, clips, strict=True))


def test_an_answer_comes_back_from_its_words_as_it_was() -> None:
    assert look(page(3)[0][1], page(3)[0][0]).findings.hold == ("personal-card",)
    for question, clip in page(4):
        answer = look(clip, question)
        again = look_from_json(look_to_json(answer))
        assert again == answer
        assert (again.fingerprint is None) == (answer.fingerprint is None)
        if again.fingerprint is not None and answer.fingerprint is not None:
            assert np.array_equal(again.fingerprint.whole, answer.fingerprint.whole)
            assert np.array_equal(again.fingerprint.core, answer.fingerprint.core)
            assert again.fingerprint.core_s == answer.fingerprint.core_s


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed")
def test_without_ray_the_setting_says_what_to_install() -> None:
    with pytest.raises(SettingsError, match=r"projectone\[ray\]"):
        RayEngine()


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    if not HAS_RAY:
        pytest.skip("Ray is not installed: make ray")
    engine = RayEngine(n_actors=2)
    yield engine
    engine.close()


@pytest.mark.slow
def test_a_local_ray_gives_the_same_answers_in_the_same_order(engine: RayEngine) -> None:
    pages = page(70)
    clips = {question.clip_sha256: clip for question, clip in pages}
    expected = [look(clip, question) for question, clip in pages]
    looker = Looker(clips.__getitem__, engine=engine)
    answers = list(looker.look_at(question for question, _ in pages))
    assert answers == expected
    assert [answer.fingerprint is None for answer in answers] == [answer.fingerprint is None for answer in expected]


@pytest.mark.slow
def test_what_a_killed_actor_was_asked_is_answered_all_the_same(engine: RayEngine) -> None:
    import ray

    for actor in engine._started():
        ray.kill(actor, no_restart=False)
    pages = page(70)
    clips = {question.clip_sha256: clip for question, clip in pages}
    found = list(Looker(clips.__getitem__, engine=engine).look_at(question for question, _ in pages))
    assert [answer.findings.discard for answer in found[:4]] == [None, "silence", "wav-not-riff", None]
    assert len(found) == 70


@pytest.mark.slow
def test_ray_data_maps_batches_with_the_same_code(engine: RayEngine) -> None:
    import ray.data

    engine._started()
    pages = page(5)
    rows = [{"question": question_to_json(question), "clip": clip} for question, clip in pages]
    looked = ray.data.from_items(rows).map_batches(SealedLooks, batch_size=3, concurrency=1, num_cpus=0)
    found = sorted(row["look"] for row in looked.take_all())
    assert found == sorted(look_to_json(look(clip, question)) for question, clip in pages)
