import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from projectone.contracts.texts import clean_transcript
from projectone.demo import synthetic
from projectone.demo.plan import Size, plan_demo
from projectone.demo.sentences import sentence
from projectone.demo.synthetic import write_synthetic_corpus
from projectone.demo.voices import STARTER_VOICES, UNHEARD_VOICES
from projectone.server.corpus.manifests import read_manifest
from projectone.server.corpus.validation import examine
from projectone.waveform.wav import parse_wav


@pytest.fixture(autouse=True)
def _few_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "CLIPS_PER_USER", 5)
    monkeypatch.setattr(synthetic, "CLIPS_PER_JUDGE", 2)


def test_it_is_a_corpus_like_any_other_with_judges_in_every_accent(tmp_path: Path) -> None:
    rows = read_manifest(write_synthetic_corpus(tmp_path, seed=1))
    people, accents = defaultdict(set), defaultdict(set)
    for row in rows:
        people[row.split].add(row.speaker)
        accents[row.split].add(row.accent)
        samples = parse_wav(row.audio.read_bytes()).samples[:, 0]
        assert examine(samples, row.text) is None
        assert row.duration_s == pytest.approx(len(samples) / 16_000, abs=0.001)
    assert (len(people["train"]), len(people["golden"])) == (6, 18)
    assert not people["train"] & people["golden"]
    assert accents["train"] == accents["golden"]
    assert len(accents["train"]) == 3
    plan = plan_demo(rows, size=Size(), seed=1)
    assert plan.golden_source == "split"


# A process of its own: what a voice says first depends a little on which voice spoke before it.
MAKE = """
import sys
from pathlib import Path
from projectone.demo import synthetic
synthetic.CLIPS_PER_USER, synthetic.CLIPS_PER_JUDGE = 2, 1
synthetic.write_synthetic_corpus(Path(sys.argv[1]), seed=int(sys.argv[2]))
"""


def test_the_same_seed_says_the_same_in_the_same_voices(tmp_path: Path) -> None:
    def heard(folder: str, seed: int) -> list[tuple[str, str, bytes]]:
        subprocess.run([sys.executable, "-c", MAKE, str(tmp_path / folder), str(seed)], check=True)
        return [(row.speaker, row.text, row.audio.read_bytes()) for row in read_manifest(tmp_path / folder)]

    first = heard("a", 1)
    assert heard("b", 1) == first
    assert heard("c", 2) != first


def test_nobody_here_was_heard_by_the_starter() -> None:
    heard = {(voice.language, voice.variant) for voice in STARTER_VOICES}
    assert not {voice.language for voice in UNHEARD_VOICES} & {language for language, _ in heard}
    assert not {voice.variant for voice in UNHEARD_VOICES} & {variant for _, variant in heard}


def test_people_say_short_things_of_many_kinds() -> None:
    rng = random.Random(0)
    said = [sentence(rng) for _ in range(500)]
    assert len(set(said)) > 300
    assert all(text == clean_transcript(text) and 1 <= len(text.split()) <= 9 for text in said)
