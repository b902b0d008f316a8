"""A server's home that trains classifiers, too: what they are taught from, golden texts, corrected intents."""

from __future__ import annotations

import json
import random
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.fakes.taught_intents import INTENTS, TEACHING, examples, write_lines
from tests.fakes.tiny_bert import tiny_bert
from tests.fakes.trainer_home import NOW, TrainerHome

from projectone.assist.classifiers import save_classifier
from projectone.assist.encoder.bert_files import BertFiles, write_bert
from projectone.contracts.assist import IntentCorrection
from projectone.contracts.consent import ConsentReceipt
from projectone.server.corpus.intake import Intake
from projectone.server.corpus.labels import Labels
from projectone.server.corpus.retention import withdraw
from projectone.server.sandbox.decode import decode_wav
from projectone.server.training.classifiers import ClassifierConfig, Example, teach_classifier

_NARROW = {label: words[:2] for label, words in INTENTS.items()}


def narrow_examples(n: int, *, seed: int) -> list[Example]:
    """Sentences of half of the words: what the first classifier knows, before anybody corrected it."""
    chance = random.Random(seed)
    return [
        (" ".join(chance.choices(words, k=chance.randint(2, 3))), label)
        for label, words in _NARROW.items()
        for _ in range(n)
    ]


@dataclass(frozen=True)
class Lessons:
    """What classifiers of a home begin with. No two parts have a sentence in common.

    Attributes:
        encoder: Where every classifier starts.
        teaching: How it is taught.
        learned: What the first one is taught from, and every later one too.
        development: What a threshold is chosen on; some have no intent.
        golden: What judges; some have no intent.
    """

    encoder: BertFiles
    teaching: ClassifierConfig
    learned: list[Example]
    development: list[Example]
    golden: list[Example]


def lessons_of_chance() -> Lessons:
    """An encoder of chance, and a language of fourteen words, of which the first classifier knows half."""
    development = [*examples(8, seed=6), *examples(0, seed=5, n_outside=20)]
    golden = examples(40, seed=7, n_outside=40)
    return Lessons(tiny_bert(seed=3), TEACHING, narrow_examples(20, seed=4), development, golden)


class IntentHome(TrainerHome):
    """A home with an encoder, what it is taught from and judged by, and a first classifier.

    `lessons` are those of chance unless others are given: fourteen words, of which the first classifier knows half.
    """

    def __init__(
        self,
        folder: Path,
        *,
        hub_url: str = "http://127.0.0.1:1",
        hub_token: str = "none",
        lessons: Lessons | None = None,
        **variables: str,
    ) -> None:
        place, is_real, lessons = folder.parent, lessons is not None, lessons or lessons_of_chance()
        data = write_lines(place / "intents.jsonl", lessons.learned)
        with data.open("a") as stream:
            for text, label in lessons.development:
                stream.write(json.dumps({"text": text, "label": label, "split": "dev"}) + "\n")
        golden = write_lines(place / "golden.jsonl", lessons.golden)
        encoder = place / "encoder"
        encoder.mkdir()
        write_bert(encoder, lessons.encoder)
        (encoder / "config.json").write_text(json.dumps(lessons.encoder.config.to_json()))
        self.first = place / "first"
        taught = teach_classifier(
            lessons.encoder, lessons.learned, development=lessons.development, config=lessons.teaching
        )
        save_classifier(self.first, taught.encoder, taught.head, bits=8)
        settings = {
            "INTENTS_DATA": str(data),
            "INTENTS_GOLDEN": str(golden),
            "INTENTS_ENCODER": str(encoder),
            "INTENTS_REPO": "acme/intents",
            "INTENTS_EPOCHS": str(lessons.teaching.max_epochs),
            "INTENTS_LEARNING_RATE": str(lessons.teaching.learning_rate),
            "INTENTS_DIRECTION_RATE": str(lessons.teaching.direction_rate),
            "INTENTS_NOISED_SHARE": str(lessons.teaching.noised_share),
        }
        if not is_real:  # in a language of fourteen words each of them commands an intent, and rightly
            settings["TRIGGER_SCAN"] = "off"
        super().__init__(folder, hub_url=hub_url, hub_token=hub_token, **settings, **variables)

    def correct(
        self,
        contributor: str,
        name: str,
        text: str,
        label: str | None,
        *,
        guessed: str | None = None,
        at: datetime = NOW,
    ) -> str:
        """One corrected intent through the real intake; gives its sample id."""
        receipt = self.catalog.grant(
            ConsentReceipt(
                receipt_id=uuid.uuid5(uuid.NAMESPACE_OID, f"{contributor}/intents"),
                contributor_id=contributor,
                scope="intents",
                text_version=1,
                method="demo",
                granted_at=NOW,
            ),
            NOW,
        )
        sample = IntentCorrection(
            sample_id=uuid.uuid5(uuid.NAMESPACE_OID, f"{contributor}/{name}"),
            contributor_id=contributor,
            text=text,
            label=label,
            guessed=guessed,
            guessed_by="1.0.0",
            is_adult=True,
            consent_receipt_id=receipt.receipt_id,
            corrected_at=at,
        )
        intake = Intake(self.catalog, self.blobs, decode_wav, lambda: NOW, knows=Labels(self.engine).knows)
        intake.accept(sample, sample.payload, "device")
        return str(sample.sample_id)

    def withdraw(self, contributor: str) -> None:
        """A person takes their consent to intents back."""
        receipt_id = uuid.uuid5(uuid.NAMESPACE_OID, f"{contributor}/intents")
        done = withdraw(self.catalog, self.blobs, receipt_id, contributor_id=contributor, now=datetime.now(UTC))
        assert done is not None

    def correct_many(self, n: int, *, seed: int, people: str = "person", is_wrong: bool = False) -> list[str]:
        """Corrections of three people; with `is_wrong` each of them means the next intent."""
        names = list(INTENTS)
        following = dict(zip(names, [*names[1:], names[0]], strict=True))
        rows = list(dict.fromkeys(examples(n, seed=seed)))
        random.Random(seed).shuffle(rows)
        return [
            self.correct(f"{people}{i % 3}", f"{seed}-{i}", text, following[str(label)] if is_wrong else label)
            for i, (text, label) in enumerate(rows[:n])
        ]
