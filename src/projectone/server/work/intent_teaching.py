"""The training of a run of classifiers: what the first one learned, and the intents that people corrected since."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from projectone.assist.classifiers import Bits, save_classifier
from projectone.assist.encoder.bert_files import WEIGHTS, read_bert
from projectone.contracts.base import canonical_json, sha256_hex
from projectone.errors import DataError, TrainingError
from projectone.server.evaluation.intents.golden_texts import PLAIN, GoldenText, read_lessons
from projectone.server.evaluation.intents.hearings import with_hearings
from projectone.server.pipeline.models import ModelFolders
from projectone.server.pipeline.ports import Progress, TrainingRequest
from projectone.server.training.classifiers import ClassifierConfig, Example, teach_classifier
from projectone.server.training.log import TrainingLog
from projectone.server.work.intent_samples import IntentSamples
from projectone.storage.files import digest_of

_BITS: Bits = 8
"""Of a weight in the folder that is judged, packed and installed: there is no other form."""

_LOGGED_EVERY = 10


class IntentTeacher:
    """Teaches what a run asks for, always from the one encoder; what was ended goes on from its last epoch.

    Args:
        samples: Where corrected intents come from.
        models: Where the encoder lies.
        config: How to teach.
        data: JSON lines that every classifier is taught from; without them nothing is taught.
    """

    def __init__(
        self, samples: IntentSamples, models: ModelFolders, config: ClassifierConfig, data: Path | None
    ) -> None:
        self._samples = samples
        self._models = models
        self._config = config
        self._data = data

    def train(self, request: TrainingRequest) -> str:
        """Teach; gives the digest of the candidate's weights.

        Raises:
            TrainingError: if there is no data, or it cannot be read or taught from.
        """
        learned, development = self._original()
        taught = self._samples.examples(
            [(entry.clip_sha256, entry.text) for entry in request.entries if entry.split == "train"]
        )
        held_back = self._samples.examples(
            [(entry.clip_sha256, entry.text) for entry in request.entries if entry.split == "dev"]
        )
        if not development:  # then the teacher holds a part of everything back, and learns all of it in the end
            taught, held_back = [*taught, *held_back], []
        known = {label for _, label in (*learned, *taught)}
        examples = [*learned, *taught]
        measured_on = _as_heard_too([row for row in (*development, *held_back) if row[1] in known or row[1] is None])
        # Settings and data may change while a run waits for its worker: then it begins again, in a folder of their own.
        course = sha256_hex(canonical_json([request.base_sha256, examples, measured_on, asdict(self._config)]))
        log = TrainingLog(request.log_path, time.monotonic)
        log.write("start", n_original=len(learned), n_corrected=len(taught), n_development=len(development))

        def on_progress(n_done: int, n_all: int, loss: float) -> None:
            message = f"learning {n_done}/{n_all}, loss {loss:.3f}"
            request.on_progress(Progress(step=n_done, total=n_all, loss=loss, message=message))
            if n_done % _LOGGED_EVERY == 0 or n_done == n_all:
                log.write("step", step=n_done, loss=round(loss, 4))

        made = teach_classifier(
            read_bert(self._models.find(request.base_sha256)),
            examples,
            development=measured_on,
            config=self._config,
            on_progress=on_progress,
            work_folder=request.work_folder / course[:16],
        )
        shutil.rmtree(request.out, ignore_errors=True)  # what a worker that was killed had finished
        save_classifier(request.out, made.encoder, made.head, bits=_BITS)
        log.write("finish", **made.head.measured)
        return digest_of(request.out / WEIGHTS)

    def _original(self) -> tuple[list[Example], list[Example]]:
        """What is learned and what is measured on."""
        if self._data is None:
            raise TrainingError("expected PROJECTONE_SERVER_INTENTS_DATA, that classifiers are taught from")
        try:
            return read_lessons(self._data)
        except DataError as error:
            raise TrainingError(f"PROJECTONE_SERVER_INTENTS_DATA: {error}") from error


def _as_heard_too(rows: Sequence[Example]) -> list[Example]:
    """What is measured on, as it is written and as the gate hears it: a threshold for clean texts refuses others."""
    texts = [GoldenText(f"dev-{n}", f"dev-{n}", PLAIN, text, label) for n, (text, label) in enumerate(rows)]
    return [(text.text, text.label) for text in with_hearings(texts)]
