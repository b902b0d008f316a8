from __future__ import annotations

import dataclasses

import yaml

from projectone.contracts.evidence import Membership, NoiseMasking, ProbeScore, Recall
from projectone.contracts.scores import EvaluationReport, Score, Verdict
from projectone.server.registry.card import CardFacts, render_card
from projectone.server.registry.lineage import ModelLineage


def report(wer: float, **slices: float) -> EvaluationReport:
    def score(value: float, n_units: int) -> Score:
        return Score(value=value, low=value / 2, high=value * 2, n_units=n_units)

    return EvaluationReport(
        model_sha256="a" * 64,
        dataset_sha256="b" * 64,
        wer=score(wer, 300),
        cer=score(wer / 3, 1500),
        slices={name.replace("_", " "): score(value, 50) for name, value in slices.items()},
        n_clips=40,
        audio_s=600.0,
        wall_s=1.0,
    )


FACTS = CardFacts(
    repo_id="acme/whisper",
    version="1.2.0",
    run_id="run-7",
    report=report(0.125, young_speakers=0.2),
    base_name="openai/whisper-tiny",
    base_sha256="c" * 64,
    dataset_sha256="d" * 64,
    n_samples=420,
    n_new_samples=57,
    training_audio_s=5400.0,
    production=report(0.25),
    verdict=Verdict(decision="promote", reasons=("better | in all",), gain=0.125, gain_low=0.05, gain_high=0.2),
    lineage=("1.0.0", "1.1.0"),
    n_people=12,
    consent_scopes=("corrections",),
    code={"projectone": "0.1.0"},
    settings={"epochs": 3},
    seed=7,
)


def header_of(card: str) -> dict[str, object]:
    _, header, _ = card.split("---\n", 2)
    values = yaml.safe_load(header)
    assert isinstance(values, dict)
    return values


def test_a_card_says_what_a_reader_must_know() -> None:
    card = render_card(FACTS)
    for text in (
        "## Intended use",
        "## Limits",
        "run-7",
        "c" * 64,
        "420 samples (1.50 h), 57 of them new, of 12 people",
        "1.0.0, 1.1.0",
        "| words (WER) | 12.50 % (6.25 to 25.00) | 25.00 % (12.50 to 50.00) | 300 |",
        "| WER, slice young speakers | 20.00 % (10.00 to 40.00) | - | 50 |",
        "Gate: **promote**. Gain over the model before: 12.50 points of WER (5.00 to 20.00).",
    ):
        assert text in card


def test_the_header_is_yaml_that_the_hub_reads() -> None:
    header = header_of(render_card(FACTS))
    assert (header["license"], header["base_model"]) == ("apache-2.0", "openai/whisper-tiny")
    (model,) = header["model-index"]  # type: ignore[misc]
    assert {item["type"]: item["value"] for item in model["results"][0]["metrics"]}["wer"] == 0.125


def test_a_hostile_name_breaks_neither_header_nor_table() -> None:
    hostile = 'x/"\n---\nlicense: mit\n| <script>'
    facts = CardFacts(
        repo_id="acme/w", version="1.0.0", run_id="r", report=report(0.1), base_name=hostile, base_sha256="c" * 64
    )
    card = render_card(facts)
    assert header_of(card)["license"] == "apache-2.0"
    assert "<script>" not in card.replace('"x/\\"\\n---\\nlicense: mit\\n| <script>"', "").replace("\\<script\\>", "")


def test_a_model_that_was_not_trained_here_says_so() -> None:
    card = render_card(
        CardFacts(
            repo_id="a/b", version="1.0.0", run_id="r", report=report(0.1), base_name="starter", base_sha256="c" * 64
        )
    )
    assert "Not trained here" in card
    assert "base_model" not in header_of(card)


def test_the_same_facts_give_the_same_bytes() -> None:
    assert render_card(FACTS) == render_card(FACTS)


def test_a_card_says_what_was_tried_and_what_was_not() -> None:
    untried = render_card(FACTS)
    assert untried.count("not tried.") == 5
    tried = dataclasses.replace(
        FACTS,
        report=FACTS.report.model_copy(
            update={
                "probes": (ProbeScore(name="hum", hypothesis=""), ProbeScore(name="rain", hypothesis="thank you")),
                "recall": Recall(n_texts=40, n_told=2, n_told_by_production=1, auc=0.61, auc_of_production=0.5),
            }
        ),
    )
    card = render_card(tried)
    assert "words were written on 1 of 2" in card
    assert "2 of 40 were ended word for word" in card and "AUC of 0.61 (95 % interval 0.46 to 0.75; 0.50 before" in card
    assert card.count("not tried.") == 3


def test_a_card_tells_what_recordings_told_with_intervals() -> None:
    masking = NoiseMasking(
        n_lessons=32,
        n_guessed=5,
        n_guessed_by_production=2,
        n_others=30,
        n_guessed_of_others=4,
        n_guessed_of_others_by_production=3,
        excess=0.06,
        excess_low=-0.05,
        excess_high=0.19,
    )
    membership = Membership(n_lessons=32, n_others=30, auc=0.62, auc_low=0.47, auc_high=0.77)
    told = Recall(
        n_texts=40, n_told=0, n_told_by_production=0, auc=0.5, auc_of_production=0.5, masking=masking,
        membership=membership,
    )  # fmt: skip
    card = render_card(dataclasses.replace(FACTS, report=FACTS.report.model_copy(update={"recall": told})))
    assert "in 5 of 32 recordings that it learned from (the model before 2) and in 4 of 30 others (3)" in card
    assert "+6 points more (95 % interval -5 to +19)" in card
    assert "AUC 0.62 (95 % interval 0.47 to 0.77" in card
    assert card.count("not tried.") == 2


def test_few_people_are_not_counted_and_the_words_they_agreed_to_are_there() -> None:
    card = render_card(dataclasses.replace(FACTS, n_people=None))
    assert "57 of them new, of few people; all with their speakers' consent" in card
    assert "- They agreed to: *corrections*. When I correct a transcript" in card


def test_a_stranger_is_told_how_to_check_the_signature_and_by_which_key() -> None:
    assert "bears no signature" in render_card(FACTS)
    card = render_card(dataclasses.replace(FACTS, key_sha256="e" * 64))
    assert "model_signing verify key model --signature model/model.sig" in card
    assert "e" * 64 in card and "--revision v1.2.0" in card


def test_machines_are_told_the_same_as_people() -> None:
    made = FACTS.lineage_on_record()
    assert ModelLineage.from_bytes(made.to_bytes()) == made
    assert (made.n_samples, made.n_people, made.consent_scopes, made.seed) == (420, 12, ("corrections",), 7)
    assert (made.scores.golden_sha256, made.scores.slices.keys()) == ("b" * 64, {"young speakers"})
    assert (made.decision, made.gain, made.before) == ("promote", (0.125, 0.05, 0.2), ("1.0.0", "1.1.0"))
    assert b"hypothesis" not in made.to_bytes(), "no text of a clip"
