"""What a device counts of real sentences under a real classifier: of sentences as they are, and of planted harms.

Made-up people say sentences of CLINC150's test texts, most of them a few intents of their own choice, and correct half
of what was understood wrongly. The classifier judges every sentence, and the device's own code puts what it said into
classes. How long that took is measured once, so that no harm is seen by what else the machine did. First replies and
answers are made up by rates that are stated here.
"""

from __future__ import annotations

import csv
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import projectone.speech.blas  # noqa: F401  # isort: skip
import numpy as np
from drift_signals import Measured

from projectone.assist.classifiers import EncoderClassifier, load_classifier
from projectone.assist.encoder.bert_files import TOKENIZER
from projectone.assist.encoder.wordpiece import whole_words
from projectone.assist.generation.protocol import Answer, Attempt, Reason
from projectone.assist.noise import RecognitionNoise
from projectone.assist.protocols import Judgement
from projectone.contracts.questions import REPLIES
from projectone.device.quality.measures import Bins
from projectone.device.quality.understanding import measure_answer, measure_judgement, measure_meaning

Sentence = tuple[str, str | None]
N_PEOPLE: Final = 44
N_SENTENCES: Final = 60
HEAD_INTENTS: Final = ("weather", "timer", "alarm", "play_music", "reminder")
"""Half of what everybody says; `weather` alone is a fifth of everything."""
CORRECTED: Final = 0.5
CONFIRMED: Final = 0.02
NONE_MEANT: Final = 0.08
KEPT, TOO_LATE, NOT_ALLOWED = 0.15, 0.1, 0.05
"""Of answers in words; a hosted model gives the others."""
GERMAN: Final = (
    "wie wird das wetter morgen", "stell einen wecker auf sieben uhr", "spiel etwas ruhige musik", "wie spät ist es",
    "erinnere mich an den zahnarzt", "was steht heute in meinem kalender", "ruf bitte meine mutter an",
    "wie viel geld ist auf meinem konto", "überweise hundert euro an anna", "wo ist die nächste tankstelle",
    "wie lange fahre ich nach hause", "übersetze danke ins spanische", "mach das licht im wohnzimmer aus",
    "was kann ich heute kochen", "wie viele kalorien hat ein apfel", "reserviere einen tisch für zwei",
    "setz milch auf die einkaufsliste", "was ist meine kreditgrenze", "sperre bitte meine karte",
    "erzähl mir einen witz",
    "wie heisst du", "wann fährt der nächste zug", "mein koffer ist nicht angekommen", "ich brauche ein visum",
    "wie ist der wechselkurs", "stell den timer auf zehn minuten", "wo habe ich mein handy gelassen",
    "lies mir die nachricht vor", "sprich bitte langsamer", "ändere deine stimme", "wiederhole das noch einmal",
    "wie viel urlaub habe ich noch", "wann kommt mein paket", "wirf eine münze", "wie buchstabiert man rhythmus",
    "was bedeutet dieses wort", "bestell mir ein taxi", "wie hoch ist die steuer", "der reifen ist platt",
    "danke schön",
)  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """One sentence: whose, what was meant, and what was understood in how many seconds."""

    person: int
    meant: str | None
    judgement: Judgement
    took_s: float


def measure_intents(
    classifier: Path, data: Path, into: Path, *, n_people: int | None, say: Callable[[str], Any]
) -> None:
    """Write a line for each event of each made-up person, as they are and under each harm."""
    began = time.process_time()
    rows = list(_all_rows(classifier, data / "text", n_people or N_PEOPLE))
    into.write_text("".join(json.dumps(row.__dict__) + "\n" for row in rows))
    say(f"{len(rows)} events, {time.process_time() - began:.0f} s of CPU")


def _all_rows(folder: Path, texts: Path, n_people: int) -> Iterator[Measured]:
    model = load_classifier(folder, numerics="int8", n_threads=1)
    raw = json.loads((texts / "clinc150" / "data_full.json").read_text())
    people = _people(raw["test"], raw["oos_test"], n_people, without=())
    times = _times(model, people)
    judge = partial(_judged, times=times)
    usual = judge(model, people)
    yield from _events("none", usual)

    others = _people(raw["test"], raw["oos_test"], n_people, without=("weather",))
    banking = [row["text"] for row in csv.DictReader((texts / "banking77" / "test.csv").open())]
    slurp = [json.loads(line)["text"] for line in (texts / "slurp" / "slurp_dev_test.jsonl").open()]
    yield from _events("a new topic (half of it banking)", judge(model, _replaced(people, banking, 0.5)))
    yield from _events("another product's sentences", judge(model, _replaced(people, slurp, 1.0)))
    noise = RecognitionNoise(whole_words((folder / TOKENIZER).read_bytes()))
    noised = [[(noise.distort(text, rate=0.3, seed=text), meant) for text, meant in person] for person in people]
    yield from _events("30 of 100 words misheard", judge(model, noised))
    yield from _events("another language", judge(model, _replaced(people, GERMAN, 1.0)))
    yield from _events("an intent that nobody asks for any more", judge(model, others))
    renamed = [[(text, "forecast" if meant == "weather" else meant) for text, meant in person] for person in people]
    yield from _events("a label that nobody means any more", judge(model, renamed))

    strict = replace(model.head, threshold=0.75)
    yield from _events("a broken threshold", judge(EncoderClassifier(model._embedder, strict), people))
    shifted = replace(model.head, labels=(*model.head.labels[7:], *model.head.labels[:7]))
    yield from _events("a permuted head", judge(EncoderClassifier(model._embedder, shifted), people))
    slow = [replace(item, took_s=item.took_s * 6) for item in usual]
    yield from _events("a slow machine (six times)", slow)
    yield from _events("the hosted server is down", usual, is_down=True)
    yield from _events("a quarter of what was right is corrected", usual, wrongly_corrected=0.25)


def _people(inside: Sequence[Any], outside: Sequence[Any], n: int, *, without: Sequence[str]) -> list[list[Sentence]]:
    """What each person says: half of it the few intents that everybody uses, half five of their own, some none."""
    by_intent: dict[str, list[str]] = defaultdict(list)
    for text, intent in inside:
        by_intent[intent].append(text)
    head = [name for name in HEAD_INTENTS if name not in without]
    weights = [2 if name == "weather" else 0.75 for name in head]
    found = []
    for person in range(n):
        chance = random.Random(person)
        own = chance.sample(sorted(set(by_intent) - set(HEAD_INTENTS)), 5)
        said: list[Sentence] = []
        for _ in range(N_SENTENCES):
            drawn = chance.random()
            intent = chance.choices(head, weights)[0] if drawn < 0.5 else chance.choice(own)
            said.append(
                (chance.choice(outside)[0], None) if drawn > 0.92 else (chance.choice(by_intent[intent]), intent)
            )
        found.append(said)
    return found


def _replaced(people: Sequence[Sequence[Sentence]], texts: Sequence[str], share: float) -> list[list[Sentence]]:
    """The same people, a share of whose sentences are others, with none of the intents."""
    chance = random.Random(7)
    return [[(chance.choice(texts), None) if chance.random() < share else said for said in person] for person in people]


def _times(model: EncoderClassifier, people: Sequence[Sequence[Sentence]]) -> list[float]:
    """What a sentence takes, seconds of CPU: of some hundred of them."""
    found = []
    for text, _ in [said for person in people for said in person][:300]:
        began = time.process_time()
        model.classify([text])
        found.append(time.process_time() - began)
    return found


def _judged(model: EncoderClassifier, people: Sequence[Sequence[Sentence]], *, times: Sequence[float]) -> list[Judged]:
    """On machines of the people's own, some faster and some slower than this one."""
    speeds, chance = np.random.default_rng(3).lognormal(0.0, 0.4, len(people)), random.Random(5)
    texts = sorted({text for said in people for text, _ in said})
    known = dict(zip(texts, model.classify(texts), strict=True))
    return [
        Judged(person, meant, known[text], chance.choice(times) * float(speeds[person]))
        for person, said in enumerate(people)
        for text, meant in said
    ]


def _events(
    harm: str, said: Sequence[Judged], *, is_down: bool = False, wrongly_corrected: float = 0.0
) -> Iterator[Measured]:
    """Everything that is counted: each sentence with its first reply and answer, and some corrections."""
    chance = random.Random(11)
    before: dict[int, set[str]] = defaultdict(set)
    for item in said:
        label = item.judgement.label
        bins = measure_judgement(item.judgement, item.took_s)
        bins["first_reply"] = REPLIES.index(_reply(label, before[item.person]))
        bins["answered"] = measure_answer(_answer(chance, is_down=is_down))["answered"]
        yield Measured(harm, f"{item.person:02}", _by_name(bins))
        before[item.person].add(label or "")
        drawn = chance.random()
        if label != item.meant:
            meant = item.meant if drawn < CORRECTED else label
            is_said = drawn < CORRECTED
        else:
            meant = "another" if drawn < wrongly_corrected else label
            is_said = drawn < wrongly_corrected or drawn > 1 - CONFIRMED
        if is_said:
            yield Measured(harm, f"{item.person:02}", _by_name(measure_meaning(label, meant)))


def _by_name(bins: Bins) -> dict[str, int]:
    return {str(histogram): bin_ for histogram, bin_ in bins.items()}


def _reply(label: str | None, before: set[str]) -> str:
    """Policies are there for two intents of three."""
    if label is None or sum(label.encode()) % 3 == 0:
        return "otherwise"
    return "intent-again" if label in before else "intent"


def _answer(chance: random.Random, *, is_down: bool) -> Answer:
    made = Answer(text="", by="template", model_version="1", seed=0)
    drawn = chance.random()
    reason: Reason
    if drawn < KEPT:
        return replace(made, by="hosted", cached="exact")
    if drawn < KEPT + TOO_LATE:
        reason = "timeout"
    elif drawn < KEPT + TOO_LATE + NOT_ALLOWED:
        reason = "no-consent"
    elif is_down:
        reason = "breaker-open"
    else:
        return replace(made, by="hosted")
    return replace(made, failed=(Attempt("hosted", reason, "", 0.1),))
