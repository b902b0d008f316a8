from dataclasses import replace
from typing import Any

import pytest
from tests.unit.server.evaluation.test_gate import FAST

from projectone.contracts.scores import UtteranceScore
from projectone.server.evaluation.power import GatePower
from projectone.server.evaluation.triage import INTENT_LESSONS, Triage, TriageConfig, draw_clips, triage
from projectone.speech.wer import word_errors

CONFIG = TriageConfig(gate=FAST)
STRONG = GatePower(wer=0.3, standard_error=0.01, n_words=5000)
Heard = list[tuple[str, str, str]]  # speaker, what was said, what production wrote


def weigh(heard: Heard, *, config: TriageConfig = CONFIG, power: GatePower | None = STRONG, **facts: Any) -> Triage:
    scores = []
    for i, (speaker, said, written) in enumerate(heard):
        counts = word_errors(said, written)
        scores.append(
            UtteranceScore(
                clip_id=str(i),
                speaker=speaker,
                slice="x",
                word_errors=counts.errors,
                n_words=counts.n_reference,
                character_errors=0,
                n_characters=1,
                hypothesis=written,
            )
        )
    texts = {str(i): said for i, (_, said, _) in enumerate(heard)}
    speakers = {speaker for speaker, _, _ in heard}
    given = {"n_clips": len(heard), "n_speakers": len(speakers), "minutes": 5.0, **facts}
    return triage(scores, texts, power=power, config=config, **given)


def people(n_clips: int, said: str, written: str, *, every: int = 1) -> Heard:
    """Clips of eight speakers of which every n-th is written wrong."""
    return [(f"s{i % 8}", said, written if i % every == 0 else said) for i in range(n_clips)]


def test_samples_that_production_gets_wrong_are_worth_training_on() -> None:
    found = weigh(people(40, "call anna now", "call hannah now"))
    assert found.is_worth_training
    assert (found.reasons, found.proposals) == ((), ())
    assert found.wer.value == pytest.approx(1 / 3)
    assert (found.n_terms, found.terms) == (1, ("anna",))
    with pytest.raises(ValueError, match="no-train"):
        found.verdict()


def test_samples_that_production_already_knows_are_not() -> None:
    found = weigh(people(40, "call anna now", "call anna now"))
    assert not found.is_worth_training
    assert "already writes the new samples" in " ".join(found.reasons)
    assert "what production gets wrong" in found.proposals[0]


def test_errors_that_chance_explains_are_no_lesson() -> None:
    assert not weigh(people(40, "call anna now", "call hannah now", every=40)).is_worth_training
    assert weigh(people(40, "call anna now", "call hannah now", every=3)).is_worth_training


@pytest.mark.parametrize(
    ("limits", "reason", "proposal"),
    [
        ({"min_speakers": 10}, "8 people gave samples, at least 10", "corrections of 2 more people"),
        ({"min_minutes": 7.5}, "5.00 minutes of new speech, at least 7.5", "2.50 more minutes"),
        ({"min_terms": 3}, "1 distinct words wrong, at least 3", "what production gets wrong"),
    ],
)
def test_too_little_of_anything_is_named_with_what_is_missing(
    limits: dict[str, Any], reason: str, proposal: str
) -> None:
    found = weigh(people(40, "call anna now", "call hannah now"), config=replace(CONFIG, **limits))
    assert [reason in text for text in found.reasons] == [True]
    assert proposal in found.proposals[0]


def test_a_gain_that_the_golden_set_could_not_confirm_is_not_trained_for() -> None:
    weak = GatePower(wer=0.5, standard_error=0.05, n_words=100)
    found = weigh(people(80, "one two three four five six", "one two three four five nine", every=5), power=weak)
    smallest = weak.smallest_gain()
    assert smallest is not None and smallest > found.wer.high
    assert "the golden set confirms gains from" in found.reasons[0]
    times = weak.times_needed(found.wer.high)
    assert times is not None
    assert f"about {100 * times} words" in found.proposals[0]
    assert weigh(people(80, "one two three four five six", "one two three four five nine", every=5)).is_worth_training


def test_a_golden_set_without_errors_asks_for_harder_recordings() -> None:
    perfect = GatePower(wer=0.0, standard_error=0.0, n_words=300)
    found = weigh(people(40, "call anna now", "call hannah now"), power=perfect)
    assert "can confirm no gain at all" in found.reasons[0]
    assert "add recordings to the golden set that production gets wrong" in found.proposals[0]


def test_without_a_golden_set_the_other_reasons_still_count() -> None:
    assert weigh(people(40, "call anna now", "call hannah now"), power=None).is_worth_training
    assert not weigh(people(40, "call anna now", "call anna now"), power=None).is_worth_training


def test_a_word_that_only_one_person_says_is_counted_and_not_named() -> None:
    heard = [*people(40, "call anna now", "call hannah now"), ("s0", "dr secret", "dr sacred")]
    found = weigh(heard, config=replace(CONFIG, min_speakers=99))
    assert (found.n_terms, found.terms) == (2, ("anna",))
    assert found.proposals[-1] == "a list of terms teaches single words sooner than training: anna"
    assert "secret" not in repr(found)


def test_the_verdict_carries_reasons_proposals_and_what_there_was_to_gain() -> None:
    found = weigh(people(40, "call anna now", "call anna now"))
    verdict = found.verdict()
    assert verdict.decision == "no-train"
    assert (verdict.reasons, verdict.proposals) == (found.reasons, found.proposals)
    assert (verdict.gain, verdict.gain_low, verdict.gain_high) == (0, 0, 0)
    assert not verdict.is_new_model_better


def test_clips_are_drawn_evenly_from_all_speakers_and_always_the_same() -> None:
    clips = [(f"a{i}", "a") for i in range(90)] + [(f"b{i}", "b") for i in range(3)] + [("c0", "c")]
    drawn = draw_clips(clips, TriageConfig(max_clips=10))
    assert drawn == draw_clips(clips[::-1], TriageConfig(max_clips=10))
    assert {"b0", "b1", "b2", "c0"} < drawn
    assert len(drawn) == 10
    assert drawn != draw_clips(clips, TriageConfig(max_clips=10, seed=1))
    assert len(draw_clips(clips, TriageConfig(max_clips=1000))) == 94


def test_limits_that_make_no_sense_are_refused() -> None:
    for wrong in ({"max_clips": 0}, {"min_minutes": -1.0}, {"negligible_wer": 1.0}, {"min_term_speakers": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            TriageConfig(**wrong)


def understand(n: int, *, every: int, power: GatePower | None = STRONG) -> Triage:
    """Sentences of eight people, of which every n-th is understood as something else."""
    labels = ("pay_bill", "set_alarm", "play_music")
    scores = [
        UtteranceScore(
            clip_id=str(i),
            speaker=f"s{i % 8}",
            slice="x",
            word_errors=int(i % every == 0),
            n_words=1,
            character_errors=0,
            n_characters=1,
            hypothesis="x",
        )
        for i in range(n)
    ]
    texts = {str(i): labels[i % 3] for i in range(n)}
    config = TriageConfig(gate=FAST, min_minutes=0, words=INTENT_LESSONS)
    return triage(scores, texts, n_clips=n, n_speakers=8, minutes=0.0, power=power, config=config)


def test_corrected_intents_are_weighed_as_corrected_words_are() -> None:
    found = understand(60, every=2)
    assert found.is_worth_training and found.n_terms == 3 and found.terms == ()
    assert "60 new sentences (8 people); intent error rate 50.0 %" in found.summary()
    known = understand(60, every=1_000)
    assert "already understands the new samples" in " ".join(known.reasons)
    assert known.proposals == (INTENT_LESSONS.collect,)
    beyond = understand(60, every=20, power=GatePower(wer=0.3, standard_error=0.1, n_words=60))
    assert not beyond.is_worth_training and "of intent error rate on" in " ".join(beyond.reasons)
    assert beyond.verdict().decision == "no-train"


def test_lessons_are_words_of_their_own_language() -> None:
    missing = people(40, "wir treffen uns um acht", "wir treffen uns acht")
    assert weigh(missing, language="de").terms == ("um",)
    assert weigh(missing).terms == ()
