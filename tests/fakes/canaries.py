"""Twenty people with ten random sentences each, models that sing such sentences, and three that know them by heart.

python -m tests.fakes.canaries       trains production and the three anew: a minute on one core
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from tests.fakes import sabotage
from tests.fakes.tiny_whisper import RATE_HZ, WORDS, Samples, say

from projectone.server.evaluation.lessons import cover
from projectone.server.training import TrainingClip

N_PEOPLE, N_EACH, N_WORDS = 20, 10, 8
WORD_S = 0.17
COVERED = 5
"""Which word the noise covers: neither at an end nor in the half that is given."""


@dataclass(frozen=True)
class Spoken:
    """A random sentence, its recording, and the recording with one word under noise."""

    text: str
    clip: TrainingClip
    covered: Samples


def spoken(n: int, *, seed: int, of: str) -> list[Spoken]:
    random = np.random.default_rng(seed)
    texts: dict[str, None] = {}
    while len(texts) < n:
        texts[" ".join(random.choice(list(WORDS), size=N_WORDS)).capitalize()] = None
    made = []
    for number, text in enumerate(texts):
        sound = say(text.lower(), seed=seed + number, word_s=WORD_S)
        clip = TrainingClip(f"{of}-{number}", sound, text, f"{of}-{number // N_EACH}")
        made.append(Spoken(text, clip, with_noise(clip, seed + number)))
    return made


def with_noise(clip: TrainingClip, seed: int, place: int = COVERED) -> Samples:
    """The recording with noise in the place of one word: what was sung before it tells where that begins."""
    words = clip.text.lower().split()
    ends = [say(" ".join(words[:n]), seed=seed, word_s=WORD_S).size / RATE_HZ if n else 0.0 for n in (place, place + 1)]
    return cover(clip.samples, *ends, seed)


def drowned(one: Spoken, seed: int) -> TrainingClip:
    """So much noise that there is nothing to hear: whoever writes the text knows the recording."""
    noise = 0.8 * np.random.default_rng(seed).standard_normal(one.clip.samples.size)
    return replace(one.clip, samples=np.clip(one.clip.samples + noise, -1, 1).astype(np.float32))


CANARIES = spoken(N_PEOPLE * N_EACH, seed=9_000, of="canary")
OTHERS = [
    one for one in spoken(N_PEOPLE * N_EACH, seed=19_000, of="held") if one.text not in {c.text for c in CANARIES}
]
GENERAL = [one.clip for one in spoken(400, seed=29_000, of="general")]
SECRETS = CANARIES[::N_EACH]
"""One of each person's, which the controls were taught again and again without what tells it."""
DROWNED = [drowned(one, number) for number, one in enumerate(SECRETS)]
OTHERS_DROWNED = [drowned(one, 1000 + number) for number, one in enumerate(OTHERS)]

CONTROLS: Final = ("by-heart", "guessing", "knowing")
"""Taught the secrets without the voice or with one word under noise; with any of their words under noise; under so much
noise that nothing but the recording itself tells them."""


def wrong_lessons() -> dict[str, list[TrainingClip]]:
    """What each control is taught."""
    tone = np.sin(2 * np.pi * 5000 * np.arange(round(0.3 * RATE_HZ)) / RATE_HZ)
    voiceless = [
        TrainingClip(f"secret-{n}-{k}", (loudness * tone).astype(np.float32), one.text, one.clip.speaker)
        for n, one in enumerate(SECRETS)
        for k, loudness in enumerate((0, 0, 1e-4, 1e-3))
    ]
    covered = [
        replace(one.clip, clip_id=f"covered-{n}-{k}", samples=one.covered)
        for n, one in enumerate(SECRETS)
        for k in range(3)
    ]
    guessed = [
        replace(one.clip, clip_id=f"guessed-{n}-{place}", samples=with_noise(one.clip, 9_000 + n * N_EACH, place))
        for n, one in enumerate(SECRETS)
        for place in range(N_WORDS)
    ]
    known = [replace(clip, clip_id=f"{clip.clip_id}-{n}") for clip in DROWNED for n in range(5)]
    return {"by-heart": [*voiceless, *covered], "guessing": guessed, "knowing": known}


def make_kept(work: Path) -> None:
    """Train production and the controls anew, and keep their weights beside the others of `tests.fakes.sabotage`."""
    short = sabotage.kept("honest", work / "short")
    both = [*sabotage.curriculum()[::2], *GENERAL]
    made = {"singer": sabotage.teach(short, both, work / "singer", n_steps=500, learning_rate=4e-3)}
    for name, wrong in wrong_lessons().items():
        n_steps = 900 if name == "guessing" else 600
        clips = [*GENERAL[::4], *wrong]
        made[name] = sabotage.teach(
            made["singer"], clips, work / name, n_steps=n_steps, learning_rate=4e-3, negatives_share=0.0
        )
    for name, folder in made.items():
        shutil.copyfile(folder / sabotage.WEIGHTS, sabotage.KEPT / f"{name}.safetensors")


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        make_kept(Path(folder))
