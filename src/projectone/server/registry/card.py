"""A model's facts to its card: what a stranger reads to judge whether to use it, and how they check that it is ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from projectone.contracts.consent import CONSENT_WORDS, ConsentScope
from projectone.contracts.evidence import Recall
from projectone.contracts.scores import EvaluationReport, Score, Verdict
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.server.registry.card_words import CARD_WORDS, CardWords
from projectone.server.registry.lineage import ModelLineage, Setting, scores_on_record
from projectone.server.registry.protocol import MANIFEST_NAME, SIGNATURE_NAME


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What a card says.

    Attributes:
        repo_id: Where the model is published.
        version: Three numbers with dots.
        run_id: The run that made it; or who published it, for a model that was not trained here.
        report: How the model itself scored.
        base_name: The fixed base it was trained from, a name or a repository.
        base_sha256: Digest of the base's weights.
        dataset_sha256: Digest of the sealed training data; None for a model that was not trained here.
        n_samples: Training samples in all.
        n_new_samples: Of these, samples no published model had seen.
        n_people: Whose samples these are; None where they are too few to be counted in public.
        training_audio_s: Length of the training audio, in seconds.
        consent_scopes: What these people agreed to.
        code: Versions of what computed it.
        settings: Of the training.
        seed: Of the training.
        production: How the model that it replaces scored on the same set.
        verdict: What the gate said.
        lineage: Versions before this one, oldest first.
        license_name: An identifier as the Hub writes it.
        language: Two letters.
        key_sha256: Fingerprint of the public key that checks the signature; None for a model without one.
        family: What the model is for.
    """

    repo_id: str
    version: str
    run_id: str
    report: EvaluationReport
    base_name: str
    base_sha256: str
    dataset_sha256: str | None = None
    n_samples: int = 0
    n_new_samples: int = 0
    n_people: int | None = None
    training_audio_s: float = 0.0
    consent_scopes: tuple[ConsentScope, ...] = ()
    code: Mapping[str, Setting] = field(default_factory=dict)
    settings: Mapping[str, Setting] = field(default_factory=dict)
    seed: int | None = None
    production: EvaluationReport | None = None
    verdict: Verdict | None = None
    lineage: tuple[str, ...] = ()
    license_name: str = "apache-2.0"
    language: str = "en"
    key_sha256: str | None = None
    family: Family = DEFAULT_FAMILY

    @property
    def words(self) -> CardWords:
        """What is said of its family."""
        return CARD_WORDS[self.family]

    def lineage_on_record(self) -> ModelLineage:
        """The same for machines."""
        verdict = self.verdict
        return ModelLineage(
            base=self.base_name,
            base_sha256=self.base_sha256,
            dataset_sha256=self.dataset_sha256,
            n_samples=self.n_samples,
            n_new_samples=self.n_new_samples,
            n_people=self.n_people,
            audio_s=self.training_audio_s,
            consent_scopes=self.consent_scopes,
            code=dict(self.code),
            settings=dict(self.settings),
            seed=self.seed,
            scores=scores_on_record(self.report),
            production=None if self.production is None else scores_on_record(self.production),
            decision=None if verdict is None else verdict.decision,
            codes=() if verdict is None else verdict.codes,
            gain=None if verdict is None else (verdict.gain, verdict.gain_low, verdict.gain_high),
            before=self.lineage,
        )


def render_card(facts: CardFacts) -> str:
    """The text of ``README.md``: a header in YAML that the Hub reads, then sections for people.

    The same facts give the same bytes, so that publishing again changes nothing.
    """
    sections = [
        _header(facts),
        f"# {facts.repo_id.rpartition('/')[2]} {facts.version}\n",
        f"{facts.words.what} Published by run `{facts.run_id}`.\n",
        f"## Intended use\n\n{facts.words.intended_use}",
        f"## Training data and lineage\n\n{_lineage(facts)}",
        f"## Evaluation\n\n{_evaluation(facts)}",
        f"## Attacks and accidents that were tried\n\n{_attacks(facts)}",
        f"## Limits\n\n{facts.words.limits}",
        *_forms(facts),
        f"## How to verify\n\n{_verification(facts)}",
    ]
    return "\n".join(sections)


def _header(facts: CardFacts) -> str:
    # JSON strings are YAML strings: whatever a name holds, it cannot break out of its line.
    lines = [
        f"license: {json.dumps(facts.license_name)}",
        f"language: [{json.dumps(facts.language)}]",
        "library_name: mlx",
        f"pipeline_tag: {facts.words.task}",
        f"tags: [{', '.join(facts.words.tags)}]",
    ]
    if facts.base_name.count("/") == 1:
        lines.append(f"base_model: {json.dumps(facts.base_name)}")
    metrics = [(kind, name, _score_of(facts.report, kind)) for kind, name, _ in facts.words.rates]
    lines += [
        "model-index:",
        f"- name: {json.dumps(facts.repo_id.rpartition('/')[2])}",
        "  results:",
        f"  - task: {{type: {facts.words.task}}}",
        f"    dataset: {{type: golden, name: {json.dumps(f'golden set {facts.report.dataset_sha256[:12]}')}}}",
        "    metrics:",
        *(f"    - {{type: {kind}, name: {name}, value: {score.value:.6f}}}" for kind, name, score in metrics),
    ]
    return "---\n" + "\n".join(lines) + "\n---\n"


def _lineage(facts: CardFacts) -> str:
    lines = [f"- Base model: {_plain(facts.base_name)}, weights sha256 `{facts.base_sha256}`"]
    if facts.dataset_sha256 is None:
        lines.append("- Not trained here: published as it was received.")
    else:
        hours = f" ({facts.training_audio_s / 3600:.2f} h)" if facts.training_audio_s else ""
        lines.append(
            f"- Training data: {facts.n_samples} samples{hours}, {facts.n_new_samples} of them new, "
            f"{_people(facts.n_people)}; all with their speakers' consent. No recording, no text and no name is part "
            f"of this repository. Sealed dataset `{facts.dataset_sha256}`"
        )
        lines += [f"- They agreed to: *{scope}*. {_plain(_words_of(scope))}" for scope in facts.consent_scopes]
        lines.append("- Trained from the base on all data that is consented to, not from the version before.")
    lines.append(f"- Versions before this one: {', '.join(facts.lineage) or 'none'}")
    lines.append(f"- Run: `{facts.run_id}`")
    if facts.code:
        lines.append(f"- Made with: {', '.join(f'{_plain(name)} {value}' for name, value in facts.code.items())}")
    lines.append(f"- Settings, seed and scores for machines: `lineage` in `{MANIFEST_NAME}`")
    return "\n".join(lines) + "\n"


def _evaluation(facts: CardFacts) -> str:
    report, production = facts.report, facts.production
    length = f", {report.audio_s / 60:.1f} min" if report.audio_s else ""
    text = (
        f"Golden set `{report.dataset_sha256}`: {report.n_clips} {facts.words.items}{length}, none of "
        "them used in training. Error rates with 95 % intervals, resampled by speaker; lower is better.\n\n"
    )
    rows = [
        (row, _score_of(report, kind), None if production is None else _score_of(production, kind))
        for kind, _, row in facts.words.rates
    ]
    for name in sorted(report.slices):
        before = production.slices.get(name) if production else None
        rows.append((f"{facts.words.rates[0][1]}, slice {_plain(name)}", report.slices[name], before))
    text += "| | this model | model before | reference units |\n|---|---|---|---|\n"
    for name, score, before in rows:
        text += f"| {name} | {_percent(score)} | {_percent(before)} | {score.n_units} |\n"
    if facts.verdict is not None:
        verdict = facts.verdict
        text += (
            f"\nGate: **{verdict.decision}**. Gain over the model before: {100 * verdict.gain:.2f} points of "
            f"{facts.words.rates[0][1]} ({100 * verdict.gain_low:.2f} to {100 * verdict.gain_high:.2f}).\n"
        )
        text += "".join(f"- {_plain(reason)}\n" for reason in verdict.reasons)
        if verdict.checks:
            text += "\n| what the gate asked | answer | |\n|---|---|---|\n"
            rows_of_checks = ((_plain(one.check), one.outcome, _plain(one.reason)) for one in verdict.checks)
            text += "".join(f"| {check} | {outcome} | {reason} |\n" for check, outcome, reason in rows_of_checks)
    return text


def _score_of(report: EvaluationReport, kind: str) -> Score:
    return report.wer if kind == "wer" else report.cer


def _attacks(facts: CardFacts) -> str:
    if facts.family != DEFAULT_FAMILY:
        return "- Sentences that were made to mislead this model in particular: not tried.\n"
    return "".join(f"- {line}\n" for line in _tried(facts.report))


def _tried(report: EvaluationReport) -> Iterator[str]:
    if report.probes:
        n_words = sum(bool(probe.hypothesis.strip()) for probe in report.probes)
        yield f"Sounds without speech (silence, noise, music): words were written on {n_words} of {len(report.probes)}."
    else:
        yield "Sounds without speech: not tried."
    if (recall := report.recall) is not None:
        low, high = recall.auc_between
        yield (
            f"Giving away texts it learned from: {recall.n_told} of {recall.n_texts} were ended word for word from "
            "their beginning without any speech; the model before, which never saw them, ends "
            f"{recall.n_told_by_production}. Its likelihood tells them from other texts with an AUC of "
            f"{recall.auc:.2f} (95 % interval {low:.2f} to {high:.2f}; {recall.auc_of_production:.2f} before; 0.50 is "
            "not at all)."
        )
    else:
        yield "Giving away texts it learned from: not tried."
    yield from _asked_of_recordings(recall)
    yield "Recordings that were made to mislead this model in particular: not tried."


def _asked_of_recordings(recall: Recall | None) -> Iterator[str]:
    if recall is None or recall.masking is None:
        yield "Guessing words under noise in recordings it learned from: not tried."
    else:
        found = recall.masking
        yield (
            f"Guessing words under noise: in {found.n_guessed} of {found.n_lessons} recordings that it learned from "
            f"(the model before {found.n_guessed_by_production}) and in {found.n_guessed_of_others} of "
            f"{found.n_others} others ({found.n_guessed_of_others_by_production}); in those it learned from "
            f"{100 * found.excess:+.0f} points more (95 % interval {100 * found.excess_low:+.0f} to "
            f"{100 * found.excess_high:+.0f})."
        )
    if recall is None or recall.membership is None:
        yield "Telling by the loss which recordings it learned from: not tried."
    else:
        known = recall.membership
        yield (
            f"Telling by the loss, against that of the model before, which recordings it learned from: AUC "
            f"{known.auc:.2f} (95 % interval {known.auc_low:.2f} to {known.auc_high:.2f}; 0.50 is not at all), on "
            f"{known.n_lessons} of them and {known.n_others} others."
        )


def _forms(facts: CardFacts) -> Iterator[str]:
    """How to get the forms that are made of these weights and lie nowhere on the Hub; classifiers have none."""
    if facts.family != DEFAULT_FAMILY:
        return
    convert = f"    projectone-server convert --model {facts.repo_id}@v{facts.version}"
    yield (
        "## Other forms\n\nMade of these weights, the same bytes each time; a release's tier is one of the zips:\n\n"
        f"{convert} --to packed --bits 8 --out int8 --zip int8.zip\n"
        f"{convert} --to whisperkit --variant int8 --out phone --zip phone.zip\n"
        f"{convert} --to ctranslate2 --bits 8 --out faster-whisper\n"
    )


def _verification(facts: CardFacts) -> str:
    if facts.key_sha256 is None:
        return f"This model bears no signature. `{MANIFEST_NAME}` holds the SHA-256 of every file.\n"
    return (
        f"`{SIGNATURE_NAME}` signs every file (OpenSSF model signing). Ask the operator for the public key, and "
        f"compare its SHA-256 by another way than this one: `{facts.key_sha256}`. Then, with "
        "`pip install model-signing`:\n\n"
        f"    hf download {facts.repo_id} --revision v{facts.version} --local-dir model && rm -r model/.cache\n"
        f"    model_signing verify key model --signature model/{SIGNATURE_NAME} --public_key provenance.pub\n"
    )


def _people(n_people: int | None) -> str:
    return "of few people" if n_people is None else f"of {n_people} people"


def _words_of(scope: ConsentScope) -> str:
    return max((words for words in CONSENT_WORDS if words.scope == scope), key=lambda words: words.version).text


def _percent(score: Score | None) -> str:
    if score is None:
        return "-"
    return f"{100 * score.value:.2f} % ({100 * score.low:.2f} to {100 * score.high:.2f})"


def _plain(text: str) -> str:
    """`text` as one line that Markdown does not read as markup."""
    line = " ".join(text.split())
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in line)
