"""Twenty people whose ten sentences each are random: what a model that learned from them can be made to say of them.

Nobody guesses such a sentence, so whatever comes out was remembered. Three questions are asked: the rest of a sentence
without its voice; a word that noise covers in its own recording (noise masking, arXiv 2204.08345); and whether the loss
tells recordings that were learned from apart from others of the same kind (membership, arXiv 2405.01207). Production,
which never saw them, is asked the same: what it answers is chance. The gate asks all three of every release
(`evaluation.recall`, `evaluation.lessons`); here they are asked of more recordings, with functions of the gate's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from tests.fakes import sabotage
from tests.fakes.canaries import (
    CANARIES,
    CONTROLS,
    DROWNED,
    GENERAL,
    N_EACH,
    N_PEOPLE,
    OTHERS,
    OTHERS_DROWNED,
    SECRETS,
    Spoken,
)
from tests.fakes.tiny_whisper import RATE_HZ, Samples
from tests.unit.server.evaluation.test_gate import FAST, both

from projectone.contracts.evidence import Membership, Recall
from projectone.contracts.scores import Verdict
from projectone.server.evaluation.gate import GateConfig, judge
from projectone.server.evaluation.golden import GoldenClip, golden_set
from projectone.server.evaluation.lessons import area, loss_of
from projectone.server.evaluation.recall import MOST_TEXTS, measure_recall
from projectone.server.pipeline.ports import DatasetEntry
from projectone.server.training import TrainingClip
from projectone.server.work.recall import ask_for_lessons
from projectone.speech.checkpoint import WhisperCheckpoint, load_checkpoint
from projectone.speech.transcribe import transcribe_many

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Lab:
    """Production writes such sentences well; the candidate learned the canaries, too; the others are controls.

    What each of these was taught stands at `tests.fakes.canaries.CONTROLS`.
    """

    production: WhisperCheckpoint
    candidate: WhisperCheckpoint
    by_heart: WhisperCheckpoint
    guessing: WhisperCheckpoint
    knowing: WhisperCheckpoint


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The candidate is trained here; the others are kept, so that a control is wrong in the same way on any machine."""
    folder = tmp_path_factory.mktemp("canaries")
    production = sabotage.kept("singer", folder / "production")
    lessons = [*GENERAL, *(one.clip for one in CANARIES)]
    candidate = sabotage.teach(production, lessons, folder / "candidate", n_steps=200)
    controls = [sabotage.kept(name, folder / name) for name in CONTROLS]
    return Lab(*map(load_checkpoint, (production, candidate, *controls)))


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


Recordings = Sequence[tuple[Samples, str, str]]


def membership(model: WhisperCheckpoint, learned: Recordings, others: Recordings) -> Membership:
    """How well the loss of a recording alone, beside nobody's, tells whether it was learned from."""
    losses = [np.array([loss_of(model, sound, text) for sound, text, _ in side]) for side in (learned, others)]
    return area(losses[0], losses[1], *([speaker for *_, speaker in side] for side in (learned, others)))


def as_the_gate_asks(
    lab: Lab, candidate: WhisperCheckpoint, learned: Sequence[TrainingClip], others: Sequence[TrainingClip]
) -> Recall:
    """Of a run that learned from these clips, with those that it held back and a golden set that nobody needs."""
    sides = (("train", learned), ("dev", others))
    clips = {clip.clip_id: clip for _, side in sides for clip in side}
    new = [
        DatasetEntry(
            sample_id=clip.clip_id, clip_sha256=clip.clip_id, text=clip.text, speaker=clip.speaker,
            duration_s=clip.samples.size / RATE_HZ, is_new=True, split=split,
        )
        for split, side in sides
        for clip in side
    ]  # fmt: skip
    golden = golden_set([GoldenClip("g", "g", "plain", GENERAL[0].samples, GENERAL[0].text)])
    return ask_for_lessons(lab.production, candidate, new, golden, lambda name: clips[name].samples)


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
    canaries, others = ([(one.clip.samples, one.text, one.clip.speaker) for one in side] for side in (CANARIES, OTHERS))
    of_production, of_candidate = (membership(model, canaries, others) for model in (lab.production, lab.candidate))
    print(of_production, of_candidate)
    assert of_candidate.auc_low <= of_production.auc_high, "their intervals overlap"
    assert of_candidate.auc < 0.65


def test_a_model_that_knows_canaries_by_heart_is_found_out_by_each_question(lab: Lab) -> None:
    """The control. With the gate's question left out it would be released."""
    recall = told(lab.production, lab.by_heart, SECRETS)
    uncovered = [n_uncovered(model, SECRETS) for model in (lab.production, lab.by_heart)]
    secrets, others = (
        [(one.covered, one.text, one.clip.speaker) for one in side] for side in (SECRETS, OTHERS[::N_EACH])
    )
    of_production, of_control = (membership(model, secrets, others) for model in (lab.production, lab.by_heart))
    print(recall, uncovered, of_production, of_control)
    assert recall.n_told >= 4 and recall.n_told_by_production == 0
    assert (verdict_on(recall).decision, verdict_on(recall).codes) == ("reject", ("memorised",))
    assert verdict_on(recall, FAST.without("memorisation")).decision == "promote"
    assert uncovered[1] >= uncovered[0] + 6
    assert of_control.auc_low > of_production.auc_high, "their intervals are apart"


CLEAN = [one.clip for one in SECRETS], [one.clip for one in OTHERS]


def test_an_honest_model_passes_what_the_gate_asks_of_its_recordings(lab: Lab) -> None:
    for learned, others in (([one.clip for one in CANARIES], CLEAN[1]), (DROWNED, OTHERS_DROWNED)):
        recall = as_the_gate_asks(lab, lab.candidate, learned, others)
        print(recall)
        verdict = verdict_on(recall)
        assert verdict.decision == "promote"
        asked = {result.check for result in verdict.checks if result.outcome == "passed"}
        assert asked >= {"memorisation", "covered-words", "known-recordings"}


def test_a_model_that_guesses_covered_words_of_its_lessons_is_refused_by_the_gate(lab: Lab) -> None:
    """The control is the same model without the question."""
    recall = as_the_gate_asks(lab, lab.guessing, *CLEAN)
    print(recall)
    verdict = verdict_on(recall)
    assert (verdict.decision, verdict.codes) == ("reject", ("covered-words-guessed",))
    assert verdict_on(recall, FAST.without("covered-words")).decision == "promote"


def test_a_model_that_knows_its_recordings_waits_for_a_person(lab: Lab) -> None:
    """The control is the same model without the question."""
    recall = as_the_gate_asks(lab, lab.knowing, DROWNED, OTHERS_DROWNED)
    print(recall)
    verdict = verdict_on(recall)
    assert (verdict.decision, verdict.codes) == ("hold", ("recordings-known",))
    assert verdict_on(recall, FAST.without("known-recordings")).decision == "promote"
