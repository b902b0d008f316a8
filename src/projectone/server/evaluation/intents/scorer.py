"""A classifier over the golden texts: what it answered, what it costs, and whether it can be used at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from projectone.assist.classifiers import CLASSIFIER, HEAD, load_classifier
from projectone.assist.embeddings import Numerics
from projectone.assist.encoder.bert_files import CONFIG, TOKENIZER, WEIGHTS, BertConfig, read_bert, read_tensors
from projectone.assist.encoder.wordpiece import WordPiece
from projectone.assist.protocols import Judgement
from projectone.contracts.assist import as_target
from projectone.contracts.evidence import ClassifierEvidence, Defect, Footprint, IntentAnswer
from projectone.contracts.scores import EvaluationReport, UtteranceScore
from projectone.errors import ArtifactError
from projectone.server.evaluation.intents.golden_texts import GoldenText, GoldenTexts
from projectone.server.evaluation.scorer import report_on
from projectone.storage.files import digest_of

CLASSIFIER_FILES = (WEIGHTS, HEAD, CLASSIFIER, CONFIG, TOKENIZER)
NUMERICS: Numerics = "int8"
"""What devices compute in; see `assist.embeddings`."""

_BATCH = 64
_N_RESAMPLES = 2_000


class Reader(Protocol):
    """A loaded classifier, and what counts as its answer to a golden text."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What it can answer."""
        ...

    @property
    def threshold(self) -> float:
        """From which fit on it does."""
        ...

    def answer(self, texts: Sequence[GoldenText]) -> list[IntentAnswer]:
        """Its answers, one for each text."""
        ...


class IntentReader:
    """Answers with the intent of a text, or none of them."""

    def __init__(self, folder: Path, numerics: Numerics) -> None:
        self._classifier = load_classifier(folder, numerics=numerics, n_threads=1)
        self.labels = self._classifier.head.labels
        self.threshold = self._classifier.head.threshold

    def answer(self, texts: Sequence[GoldenText]) -> list[IntentAnswer]:
        """See `Reader`."""
        made = self._classifier.classify([text.text for text in texts])
        return [_answer(text, judged) for text, judged in zip(texts, made, strict=True)]


def examine_classifier(
    folder: Path,
    golden: GoldenTexts,
    *,
    read: Callable[[Path, Numerics], Reader] = IntentReader,
    numerics: Numerics = NUMERICS,
    on_progress: Callable[[int, int], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> EvaluationReport:
    """Everything that the gate asks of a classifier; one that cannot be used gets a report that says so.

    Args:
        folder: The classifier, with the numbers that ship.
        golden: The set.
        read: Loads it, and says what counts as its answer.
        numerics: What the encoder computes in.
        on_progress: Told how many texts are done, of how many.
        clock: Seconds.

    Raises:
        ArtifactError: if there are no weights in `folder`.
        SettingsError: if the numerics need a library that is not installed.
    """
    begun = clock()
    if (defect := find_defect(folder)) is not None:
        return _report(folder, golden, None, 0.0).model_copy(update={"defects": (defect,)})
    reader, texts = read(folder, numerics), golden.texts
    made: list[IntentAnswer] = []
    for start in range(0, len(texts), _BATCH):
        made += reader.answer(texts[start : start + _BATCH])
        if on_progress is not None:
            on_progress(len(made), len(texts))
    evidence = ClassifierEvidence(labels=reader.labels, threshold=reader.threshold, answers=tuple(made))
    report = _report(folder, golden, made, clock() - begun)
    footprint = _footprint(folder, [text.text for text in texts], len(reader.labels))
    return report.model_copy(update={"numerics": numerics, "classifier": evidence, "footprint": footprint})


def find_defect(folder: Path) -> Defect | None:
    """Why the classifier in `folder` cannot be used: numbers that are not finite, or files that do not fit together.

    Raises:
        ArtifactError: if there are no weights.
    """
    if not (folder / WEIGHTS).is_file():
        raise ArtifactError(f"{folder.name!r}: expected a classifier with {WEIGHTS!r}")
    try:
        load_classifier(folder, n_threads=1)
    except ArtifactError as error:
        code = "not-finite" if _holds_no_number(folder) else "not-a-model"
        return Defect(code=code, reason=str(error))
    return None


def operations(config: BertConfig, *, n_tokens: int, longest: int, n_labels: int) -> float:
    """Multiply-adds of reading so many tokens, in texts of at most `longest`: a cost that depends on no machine.

    Source: the layers of `assist.encoder`; normalisation, sums and softmax are left out.
    """
    d, inner = config.hidden_size, config.intermediate_size
    layer = 4 * d * d + 2 * d * inner + 2 * longest * d
    return float(n_tokens * config.num_hidden_layers * layer + d * n_labels)


def _footprint(folder: Path, texts: Sequence[str], n_labels: int) -> Footprint:
    files = read_bert(folder)
    tokens = WordPiece(
        files.tokenizer, n_vocabulary=files.config.vocab_size, max_places=files.config.max_position_embeddings
    ).tokens(texts)
    spent = sum(operations(files.config, n_tokens=len(one), longest=len(one), n_labels=n_labels) for one in tokens)
    return Footprint(
        size_bytes=sum((folder / name).stat().st_size for name in CLASSIFIER_FILES),
        operations=round(spent / len(texts)),
        n_tokens=sum(map(len, tokens)),
    )


def _answer(text: GoldenText, judged: Judgement) -> IntentAnswer:
    return IntentAnswer(
        text_id=text.text_id,
        wanted=text.label,
        answered=judged.label,
        nearest=judged.nearest,
        probability=min(1.0, max(0.0, judged.probability)),
        fit=judged.fit,
    )


def _report(
    folder: Path, golden: GoldenTexts, answers: Sequence[IntentAnswer] | None, wall_s: float
) -> EvaluationReport:
    """Counted answers as a report. A classifier that cannot be used gives none, and each text counts as wrong."""
    utterances = []
    for number, text in enumerate(golden.texts):
        answer = None if answers is None else answers[number]
        error = int(answer is None or answer.answered != answer.wanted)
        utterances.append(
            UtteranceScore(
                clip_id=text.text_id,
                speaker=text.speaker,
                slice=text.slice,
                word_errors=error,
                n_words=1,
                character_errors=error,
                n_characters=1,
                hypothesis="" if answer is None else as_target(answer.answered),
            )
        )
    return report_on(
        utterances,
        model_sha256=digest_of(folder / WEIGHTS),
        dataset_sha256=golden.sha256,
        audio_s=0.0,
        wall_s=wall_s,
        n_resamples=_N_RESAMPLES,
    )


def _holds_no_number(folder: Path) -> bool:
    for name in (WEIGHTS, HEAD):
        try:
            read_tensors(folder / name)
        except ArtifactError as error:
            if "not finite" in str(error):
                return True
    return False
