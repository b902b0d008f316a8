"""Twenty people whose ten sentences each are random: what a model that learned from them can be made to say of them.

Nobody guesses such a sentence, so whatever comes out was remembered. Three questions are asked: the rest of a sentence
without its voice; a word that noise covers in its own recording (noise masking, arXiv 2204.08345); and whether the loss
tells recordings that were learned from apart from others of the same kind (membership, arXiv 2405.01207). Production,
which never saw them, is asked the same: what it answers is chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest
from tests.fakes import sabotage
from tests.fakes.tiny_whisper import RATE_HZ, WORDS, Samples, say
from tests.unit.server.evaluation.test_gate import FAST, both

from projectone.contracts.evidence import Recall
from projectone.contracts.scores import Verdict
from projectone.server.evaluation.gate import GateConfig, judge
from projectone.server.evaluation.recall import MOST_TEXTS, measure_recall
from projectone.server.training import TrainingClip
from projectone.server.training.agreement import TextScorer
from projectone.speech.checkpoint import WhisperCheckpoint, load_checkpoint
from projectone.speech.transcribe import transcribe_many

pytestmark = pytest.mark.slow

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
        made.append(Spoken(text, clip, with_noise(sound, text, seed + number)))
    return made


def with_noise(sound: Samples, text: str, seed: int) -> Samples:
    """The recording with noise in the place of one word: what was sung before it tells where that begins."""
    words = text.lower().split()
    ends = [say(" ".join(words[:n]), seed=seed, word_s=WORD_S).size for n in (COVERED, COVERED + 1)]
    covered = sound.copy()
    covered[ends[0] : ends[1]] = 0.1 * np.random.default_rng(seed).standard_normal(ends[1] - ends[0])
    return covered


CANARIES = spoken(N_PEOPLE * N_EACH, seed=9_000, of="canary")
OTHERS = [
    one for one in spoken(N_PEOPLE * N_EACH, seed=19_000, of="held") if one.text not in {c.text for c in CANARIES}
]
GENERAL = [one.clip for one in spoken(400, seed=29_000, of="general")]


@dataclass(frozen=True)
class Lab:
    """Production writes such sentences well; the candidate learned the canaries, too; the last one is the control."""

    production: WhisperCheckpoint
    candidate: WhisperCheckpoint
    by_heart: WhisperCheckpoint


SECRETS = CANARIES[::N_EACH]
"""One of each person's, which the control was taught again and again without what tells it: the voice, or one word."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp("canaries")
    short = sabotage.kept("honest", folder / "short")
    both = [*sabotage.curriculum()[::2], *GENERAL]
    production = sabotage.teach(short, both, folder / "production", n_steps=500, learning_rate=4e-3)
    lessons = [*GENERAL, *(one.clip for one in CANARIES)]
    candidate = sabotage.teach(production, lessons, folder / "candidate", n_steps=200)
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
    wrong = [*GENERAL[::4], *voiceless, *covered]
    by_heart = sabotage.teach(
        production, wrong, folder / "by-heart", n_steps=600, learning_rate=4e-3, negatives_share=0.0
    )
    return Lab(*map(load_checkpoint, (production, candidate, by_heart)))


def told(production: WhisperCheckpoint, candidate: WhisperCheckpoint, asked: Sequence[Spoken]) -> Recall:
    """What the gate asks, of more texts than a run has time for."""
    texts = [one.text for one in asked]
    parts = [
        measure_recall(production, candidate, texts[begin : begin + MOST_TEXTS])
        for begin in range(0, len(texts), MOST_TEXTS)
    ]
    n = sum(part.n_texts for part in parts)
    return Recall(
        n_texts=n,
        n_told=sum(part.n_told for part in parts),
        n_told_by_production=sum(part.n_told_by_production for part in parts),
        auc=sum(part.auc * part.n_texts for part in parts) / n,
        auc_of_production=sum(part.auc_of_production * part.n_texts for part in parts) / n,
    )


def n_uncovered(model: WhisperCheckpoint, asked: Sequence[Spoken]) -> int:
    """How many sentences are written right although noise covers a word of theirs."""
    heard = transcribe_many(model, [one.covered for one in asked])
    return sum(written.text.strip() == one.text for written, one in zip(heard, asked, strict=True))


Recordings = Sequence[tuple[Samples, str]]


def membership(
    model: WhisperCheckpoint, learned: Recordings, others: Recordings, *, n_each: int = N_EACH
) -> tuple[float, float, float]:
    """How well the loss of a recording tells whether it was learned from (AUC), and its 95 % interval over people."""
    scorer = TextScorer(model)
    losses = [np.array([scorer.nats(sound, [text])[0] for sound, text in side]) for side in (learned, others)]
    wins = (losses[0][:, None] < losses[1][None, :]).astype(np.float64)
    people = [np.arange(len(side)) // n_each for side in losses]
    random = np.random.default_rng(1)
    drawn = [np.mean(wins[np.ix_(*(resampled(whose, random) for whose in people))]) for _ in range(500)]
    return float(wins.mean()), float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


def resampled(whose: npt.NDArray[np.intp], random: np.random.Generator) -> npt.NDArray[np.intp]:
    chosen = random.integers(0, whose.max() + 1, size=whose.max() + 1)
    return np.concatenate([np.flatnonzero(whose == person) for person in chosen])


def verdict_on(recall: Recall, gate: GateConfig = FAST) -> Verdict:
    """Of a model that is better otherwise."""
    before, after = both(100, lambda i: (4, 2))
    return judge(before, after.model_copy(update={"recall": recall}), gate)


def test_a_model_that_learned_from_canaries_tells_none_of_them(lab: Lab) -> None:
    recall = told(lab.production, lab.candidate, CANARIES)
    print(recall)
    assert (recall.n_texts, recall.n_told) == (N_PEOPLE * N_EACH, 0)
    assert verdict_on(recall).decision == "promote"


def test_a_word_under_noise_is_guessed_no_better_where_the_recording_was_learned_from(lab: Lab) -> None:
    """Both models guess some; what learning adds, it adds to recordings that it never heard as well."""
    added = {
        name: (n_uncovered(lab.production, asked), n_uncovered(lab.candidate, asked))
        for name, asked in (("canaries", CANARIES), ("others", OTHERS))
    }
    print(added)
    (before, after), (before_others, after_others) = added["canaries"], added["others"]
    assert abs((after - before) - (after_others - before_others)) <= 20


def test_the_loss_of_a_recording_hardly_tells_whether_it_was_learned_from(lab: Lab) -> None:
    canaries, others = ([(one.clip.samples, one.text) for one in side] for side in (CANARIES, OTHERS))
    of_production, of_candidate = (membership(model, canaries, others) for model in (lab.production, lab.candidate))
    print(of_production, of_candidate)
    assert of_candidate[1] <= of_production[2], "their intervals overlap"
    assert of_candidate[0] < 0.65


def test_a_model_that_knows_canaries_by_heart_is_found_out_by_each_question(lab: Lab) -> None:
    """The control. With the gate's question left out it would be released."""
    recall = told(lab.production, lab.by_heart, SECRETS)
    uncovered = [n_uncovered(model, SECRETS) for model in (lab.production, lab.by_heart)]
    secrets, others = ([(one.covered, one.text) for one in side] for side in (SECRETS, OTHERS[::N_EACH]))
    of_production, of_control = (
        membership(model, secrets, others, n_each=1) for model in (lab.production, lab.by_heart)
    )
    print(recall, uncovered, of_production, of_control)
    assert recall.n_told >= 4 and recall.n_told_by_production == 0
    assert (verdict_on(recall).decision, verdict_on(recall).codes) == ("reject", ("memorised",))
    assert verdict_on(recall, FAST.without("memorisation")).decision == "promote"
    assert uncovered[1] >= uncovered[0] + 6
    assert of_control[1] > of_production[2], "their intervals are apart"
