"""What a device counts of real texts under a real safety classifier: of texts as they are, and of planted harms.

Made-up people have sentences of CLINC150's test texts read and some comments of the toxicity set, which the classifier
did not learn from: those beyond the first 600 of the set shuffled by seed 0, as docs/assist.md teaches one. The
classifier judges every text, and the device's own code puts what it said into classes.
"""

from __future__ import annotations

import csv
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import projectone.speech.blas  # noqa: F401  # isort: skip
import numpy as np
from drift_intents import GERMAN, N_PEOPLE
from drift_signals import Measured

from projectone.assist.classifiers import EncoderClassifier, load_classifier
from projectone.assist.encoder.bert_files import TOKENIZER
from projectone.assist.encoder.wordpiece import whole_words
from projectone.assist.noise import RecognitionNoise
from projectone.assist.safety import SafetyGuard
from projectone.device.quality.measures import measure_reading

N_TEXTS: Final = 120
HARMLESS_COMMENTS, TOXIC_COMMENTS = 0.12, 0.03
"""Of what is read; the rest are sentences that somebody asks."""
_N_KNOWN: Final = 600
_N_TIMED: Final = 300

Texts = list[list[str]]
"""What each person has read."""


def measure_safety(
    classifier: Path, data: Path, into: Path, *, n_people: int | None, say: Callable[[str], Any]
) -> None:
    """Write a line for each text of each made-up person, as they are and under each harm."""
    began = time.process_time()
    rows = list(_all_rows(classifier, data / "text", n_people or N_PEOPLE))
    into.write_text("".join(json.dumps(row.__dict__) + "\n" for row in rows))
    say(f"{len(rows)} texts, {time.process_time() - began:.0f} s of CPU")


def _all_rows(folder: Path, texts: Path, n_people: int) -> Iterator[Measured]:
    model = load_classifier(folder, numerics="int8", n_threads=1)
    asked = [text for text, _ in json.loads((texts / "clinc150" / "data_full.json").read_text())["test"]]
    harmless, toxic = _comments(texts / "toxicity" / "toxicity_en.csv")
    people = _people(n_people, [(asked, 1.0), (harmless, HARMLESS_COMMENTS), (toxic, TOXIC_COMMENTS)])
    times = _times(model, people)
    guard = SafetyGuard(model)
    usual = list(_events("none", guard, people, times))
    yield from usual
    yield from _events("abuse (a fifth of it toxic)", guard, _replaced(people, toxic, 0.2), times)
    yield from _events("other texts (half of it comments)", guard, _replaced(people, harmless, 0.5), times)
    yield from _events("another language", guard, _replaced(people, GERMAN, 1.0), times)
    noise = RecognitionNoise(whole_words((folder / TOKENIZER).read_bytes()))
    noised = [[noise.distort(text, rate=0.3, seed=text) for text in texts] for texts in people]
    yield from _events("30 of 100 words misheard", guard, noised, times)
    alarm = guard.alarm
    for name, threshold in (("it warns of nothing any more", 1.1), ("it warns from 0.2 on", 0.2)):
        changed = replace(model.head, alarm=replace(alarm, threshold=threshold))
        yield from _events(name, SafetyGuard(EncoderClassifier(model._embedder, changed)), people, times)
    swapped = replace(model.head, labels=model.head.labels[::-1])
    yield from _events(
        "its labels are swapped", SafetyGuard(EncoderClassifier(model._embedder, swapped)), people, times
    )
    slow = [took_s * 6 for took_s in times]
    yield from _events("a slow machine (six times)", guard, people, slow)


def _comments(file: Path) -> tuple[list[str], list[str]]:
    """Harmless and toxic ones that the classifier has not seen."""
    with file.open(encoding="utf-8", errors="replace", newline="") as stream:
        rows = [(row["text"], row["is_toxic"] == "Toxic") for row in csv.DictReader(stream)]
    random.Random(0).shuffle(rows)
    held = rows[_N_KNOWN:]
    return [text for text, is_toxic in held if not is_toxic], [text for text, is_toxic in held if is_toxic]


def _people(n: int, kinds: Sequence[tuple[Sequence[str], float]]) -> Texts:
    """What each has read: of each kind a share, of the first the rest."""
    found = []
    for person in range(n):
        chance = random.Random(person)
        rest, others = kinds[0][0], kinds[1:]
        some = chance.sample(list(rest), 40)  # everybody says much the same again
        texts = []
        for _ in range(N_TEXTS):
            drawn, pool = chance.random(), some
            for texts_of, share in others:
                if 0 <= drawn < share:
                    pool = list(texts_of)
                drawn -= share
            texts.append(chance.choice(pool))
        found.append(texts)
    return found


def _replaced(people: Texts, texts: Sequence[str], share: float) -> Texts:
    """The same people, a share of whose texts are others."""
    chance = random.Random(7)
    return [[chance.choice(texts) if chance.random() < share else text for text in person] for person in people]


def _times(model: EncoderClassifier, people: Texts) -> list[float]:
    """What a text takes, seconds of CPU: of some hundred of them. Harms leave it alone."""
    found = []
    for text in [text for person in people for text in person][:_N_TIMED]:
        began = time.process_time()
        model.classify([text])
        found.append(time.process_time() - began)
    return found


def _events(harm: str, guard: SafetyGuard, people: Texts, times: Sequence[float]) -> Iterator[Measured]:
    """Each text of each person, on machines of their own, some faster and some slower than this one."""
    speeds, chance = np.random.default_rng(3).lognormal(0.0, 0.4, len(people)), random.Random(5)
    texts = sorted({text for person in people for text in person})
    known = dict(zip(texts, guard.judge(texts), strict=True))
    for person, said in enumerate(people):
        for text in said:
            judged, took_s = known[text], chance.choice(times) * float(speeds[person])
            bins = measure_reading(judged.is_flagged, judged.probability, took_s)
            yield Measured(harm, f"{person:02}", {str(name): bin_ for name, bin_ in bins.items()})
